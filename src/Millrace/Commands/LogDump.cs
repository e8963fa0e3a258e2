using System.Buffers;
using System.CommandLine;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using Millrace.Codecs;
using Millrace.Core;
using Millrace.Log;

namespace Millrace.Commands;

/// <summary><c>millrace log …</c>: looks into the event log of a data folder, whether or not a server is running on it.</summary>
internal static class LogCommand
{
    public static Command Create()
    {
        var data = new Option<string>("--data") { Description = "the server's data folder", DefaultValueFactory = _ => "./data" };
        var partition = new Option<int?>("--partition") { Description = "only this partition" };
        var from = new Option<long>("--from") { Description = "first sequence number, per partition" };
        var dump = new Command("dump", "Print stored readings as JSON lines, in the order they arrived.") { data, partition, from };
        dump.SetAction((parsed, cancel) =>
        {
            using var output = Console.OpenStandardOutput();
            LogDump.Run(
                parsed.GetValue(data)!, parsed.GetValue(partition), parsed.GetValue(from), output, Console.Error, cancel);
            return Task.FromResult(ExitCode.Done);
        });
        return new Command("log", "Look into the event log.") { dump };
    }
}

/// <summary>The log as JSON lines: partition, sequence, id, time, receivedAt, listener, payload.</summary>
internal static class LogDump
{
    private const int OutputBufferBytes = 64 << 10;

    private static readonly JsonWriterOptions Json = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping, SkipValidation = true };

    public static void Run(string data, int? partition, long from, Stream output, TextWriter errors, CancellationToken cancel)
    {
        using var log = DataFolders.OpenLog(data);
        if (partition < 0 || partition >= log.PartitionCount)
            throw new UsageException([$"--partition {partition} is outside 0..{log.PartitionCount - 1}"]);
        using var reader = OpenReader(log, partition, from);
        Print(reader, output, errors, cancel);
    }

    private static ILogReader OpenReader(LogFolder log, int? partition, long from)
    {
        // From nowhere in particular means from what is there: what retention removed is then not worth a word.
        var start = log.Oldest;
        for (var p = 0; p < start.Count; p++)
            start[p] = from > 0 ? from : start[p];
        return partition is { } only ? log.OpenReaderAt(only, start[only]) : log.OpenReader(start);
    }

    private static void Print(ILogReader reader, Stream output, TextWriter errors, CancellationToken cancel)
    {
        var lines = new ArrayBufferWriter<byte>(OutputBufferBytes);
        var payload = new ArrayBufferWriter<byte>();
        using var json = new Utf8JsonWriter(lines, Json);
        while (!cancel.IsCancellationRequested && reader.TryRead() is { } block)
        {
            foreach (var record in block)
            {
                WriteLine(record, block.Partition, json, payload, lines);
                if (lines.WrittenCount >= OutputBufferBytes && !TryHandOn(lines, output))
                    return;
            }

            TellLost(reader, errors);
        }

        TryHandOn(lines, output);
        TellLost(reader, errors);
    }

    private static void WriteLine(
        in ReadingRecord record, int partition, Utf8JsonWriter json, ArrayBufferWriter<byte> payload, ArrayBufferWriter<byte> lines)
    {
        payload.ResetWrittenCount();
        PayloadView.WriteJson(record, payload);
        json.WriteStartObject();
        json.WriteNumber("partition"u8, partition);
        json.WriteNumber("sequence"u8, record.Sequence);
        json.WriteString("id"u8, Encoding.UTF8.GetString(record.Id));
        json.WriteString("time"u8, Micros.ToIso(record.DeviceTime == Micros.None ? record.ReceivedAt : record.DeviceTime));
        json.WriteString("receivedAt"u8, Micros.ToIso(record.ReceivedAt));
        json.WriteString("listener"u8, record.Listener.Name());
        json.WritePropertyName("payload"u8);
        json.WriteRawValue(payload.WrittenSpan, skipInputValidation: true);
        json.WriteEndObject();
        json.Flush();
        json.Reset(lines);
        lines.Write("\n"u8);
    }

    private static void TellLost(ILogReader reader, TextWriter errors)
    {
        while (reader.TakeLost() is { } lost)
            errors.WriteLine($"millrace: partition {lost.Partition}: sequences {lost.From} to {lost.To - 1} are not there (removed by retention, or damaged)");
    }

    /// <returns>False when nobody reads the output any more, as behind a <c>head</c>.</returns>
    private static bool TryHandOn(ArrayBufferWriter<byte> lines, Stream output)
    {
        try
        {
            output.Write(lines.WrittenSpan);
            lines.ResetWrittenCount();
            return true;
        }
        catch (IOException)
        {
            return false;
        }
    }
}
