using System.Text;
using System.Text.Json;
using Microsoft.Extensions.Logging.Abstractions;
using Millrace.Commands;
using Millrace.Core;
using Millrace.Log;
using Millrace.Log.Disk;
using Millrace.Testing;

namespace Millrace.Tests.Commands;

public sealed class LogDumpTests
{
    [Fact]
    public async Task Every_stored_reading_is_a_line_while_the_log_is_open()
    {
        using var data = new TempFolder();
        await using var log = await OpenAsync(data);
        var position = await AppendAsync(log, "meter-1", PayloadFormat.Json, 1_768_478_400_000_000, "{\"v\": 20.50}");
        await AppendAsync(log, "mü\"ller", PayloadFormat.Text, Micros.None, "21.5");
        await AppendAsync(log, "raw", PayloadFormat.Binary, Micros.None, "\u0001");

        var lines = Dump(data, null, 0);

        Assert.Equal(3, lines.Count);
        Assert.StartsWith(
            $"{{\"partition\":{position.Partition},\"sequence\":{position.Sequence},\"id\":\"meter-1\",\"time\":\"2026-01-15T12:00:00.000000Z\",\"receivedAt\":\"", lines[0]);
        Assert.EndsWith("\"listener\":\"http\",\"payload\":{\"v\": 20.50}}", lines[0]);
        using var second = JsonDocument.Parse(lines[1]);
        Assert.Equal("mü\"ller", second.RootElement.GetProperty("id").GetString());
        Assert.Equal(second.RootElement.GetProperty("receivedAt").GetString(), second.RootElement.GetProperty("time").GetString());
        Assert.Equal(21.5, second.RootElement.GetProperty("payload").GetProperty("value").GetDouble());
        Assert.Contains("\"$base64\":\"AQ==\"", lines[2]);
    }

    [Fact]
    public async Task A_partition_and_a_first_sequence_select()
    {
        using var data = new TempFolder();
        await using var log = await OpenAsync(data);
        var position = default(LogPosition);
        for (var i = 0; i < 10; i++)
        {
            position = await AppendAsync(log, "meter-1", PayloadFormat.Text, Micros.None, $"{i}");
            await AppendAsync(log, $"other-{i}", PayloadFormat.Text, Micros.None, $"{i}");
        }

        var lines = Dump(data, position.Partition, position.Sequence);

        Assert.Contains($"\"sequence\":{position.Sequence},\"id\":\"meter-1\"", lines[0]);
        Assert.All(lines, line => Assert.StartsWith($"{{\"partition\":{position.Partition},", line));
    }

    [Fact]
    public async Task A_partition_that_is_not_there_and_a_folder_without_a_log_are_told()
    {
        using var data = new TempFolder();
        Assert.Throws<CommandException>(() => Dump(data, null, 0));
        await using var log = await OpenAsync(data);

        Assert.Throws<UsageException>(() => Dump(data, 8, 0));
    }

    private static Task<SegmentLog> OpenAsync(TempFolder data) => SegmentLog.OpenAsync(
        new LogOptions { Folder = data["log"], ReserveBytes = 0 }, PhysicalDisk.Instance, TimeProvider.System, NullLogger.Instance);

    private static async Task<LogPosition> AppendAsync(SegmentLog log, string id, PayloadFormat format, long time, string payload)
    {
        var batch = new ReadingBatch(log.PartitionCount);
        batch.Add(0, Encoding.UTF8.GetBytes(id), ListenerId.Http, format, ReadingFlags.None, time, [], Encoding.UTF8.GetBytes(payload));
        await log.OpenAppender(new ListenerLedger(ListenerId.Http), 1 << 20).AppendAsync(batch, CancellationToken.None);
        return batch.PositionOf(0);
    }

    private static List<string> Dump(TempFolder data, int? partition, long from)
    {
        using var output = new MemoryStream();
        LogDump.Run(data.Path, partition, from, output, TextWriter.Null, CancellationToken.None);
        return [.. Encoding.UTF8.GetString(output.ToArray()).Split('\n', StringSplitOptions.RemoveEmptyEntries)];
    }
}
