using System.Text;
using System.Text.Json;
using Millrace.Core;
using Millrace.History.Archive;

namespace Millrace.Commands.Transfer;

/// <summary>What is to be exported. Arrivals in µs.</summary>
internal sealed record ExportWish(string Format, long From, long To, IReadOnlyList<string> Devices, IReadOnlyList<string> Fields);

/// <summary>How far an export has come: beside the output until it is done. Every arrival is unique, so one says where to go on.</summary>
/// <param name="Length">Bytes of the output that count, or with Parquet parts.</param>
internal sealed record ExportState(string Wish, long To, long Next, long Length, long Readings);

/// <summary>Writes readings in order of arrival, and remembers every few megabytes how far it has come.</summary>
internal sealed class ExportRun(string data, IHistoryStore history, string output, ExportWish wish, TextWriter text, TextWriter errors)
{
    private readonly Progress _progress = new(errors);
    private readonly HashSet<string>.AlternateLookup<ReadOnlySpan<char>> _devices = new HashSet<string>(wish.Devices).GetAlternateLookup<ReadOnlySpan<char>>();

    private string StatePath => Path.TrimEndingDirectorySeparator(output) + ".export";

    public int Run(CancellationToken cancel)
    {
        using var log = DataFolders.OpenLog(data);
        var state = Begin(log.LastReceivedAt + 1);
        var past = new RecordedInHistory(log, new ArchiveReader(history, missing => errors.WriteLine($"millrace: not exported: {missing}")));
        using var reader = past.Open(state.Next, state.To);
        using IReadingSink sink = wish.Format switch
        {
            "csv" => new LineSink(output, state.Length, new CsvLine(wish.Fields)),
            "parquet" => new PartSink(output, state.Length),
            _ => new LineSink(output, state.Length, new JsonLine()),
        };
        while (reader.TryRead() is { } block && block.FirstReceivedAt < state.To)
        {
            cancel.ThrowIfCancellationRequested();
            state = Take(block, sink, state);
            _progress.Show($"{state.Readings:N0} readings, at {Micros.ToIso(block.LastReceivedAt)}");
            while (reader.TakeLost() is { } lost)
                errors.WriteLine($"millrace: partition {lost.Partition}: sequences {lost.From} to {lost.To - 1} are not there (removed by retention, or damaged)");
            if (sink.IsFull)
                Save(state with { Length = sink.Flush() });
        }

        sink.Flush();
        sink.Dispose();
        File.Delete(StatePath);
        _progress.End();
        text.WriteLine($"{state.Readings} readings exported to {output}");
        return ExitCode.Done;
    }

    private ExportState Take(LogBlock block, IReadingSink sink, ExportState state)
    {
        var taken = 0;
        foreach (var record in block)
        {
            if (record.ReceivedAt < state.Next || record.ReceivedAt >= state.To || record.Tenant != 0 || !IsWanted(record.Id))
                continue;
            sink.Add(record, block.Partition);
            taken++;
        }

        return state with { Next = block.LastReceivedAt + 1, Readings = state.Readings + taken };
    }

    private bool IsWanted(ReadOnlySpan<byte> id)
    {
        if (_devices.Set.Count == 0)
            return true;
        Span<char> name = stackalloc char[256];
        return _devices.Contains(name[..Encoding.UTF8.GetChars(id, name)]);
    }

    /// <summary>A new export, or the one that was broken off. Its end is fixed when it begins.</summary>
    private ExportState Begin(long end)
    {
        var wished = JsonSerializer.Serialize(wish);
        var isThere = File.Exists(output) || (Directory.Exists(output) && Directory.EnumerateFileSystemEntries(output).Any());
        if (!File.Exists(StatePath))
        {
            if (isThere)
                throw new CommandException($"{output} exists already; give another --output or remove it");
            var begun = new ExportState(wished, Math.Min(wish.To, end), wish.From, 0, 0);
            Save(begun);
            return begun;
        }

        var state = JsonSerializer.Deserialize<ExportState>(File.ReadAllBytes(StatePath)) ?? throw new CommandException($"{StatePath} is empty; remove it and {output} and begin anew");
        if (state.Wish != wished)
            throw new CommandException($"{output} is a broken-off export with other options; give the same ones, or remove it and {StatePath} to begin anew");
        if (state.Readings > 0)
            errors.WriteLine($"millrace: going on after {state.Readings} readings");
        return state;
    }

    private void Save(ExportState state)
    {
        var temporary = StatePath + ".tmp";
        using (var file = File.Create(temporary))
        {
            file.Write(JsonSerializer.SerializeToUtf8Bytes(state));
            file.Flush(flushToDisk: true);
        }

        File.Move(temporary, StatePath, overwrite: true);
    }
}
