using System.Text;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Millrace.Core;
using Millrace.Log.Disk;
using Millrace.Testing;

namespace Millrace.Log.Tests;

/// <summary>A log on some disk with one appender, spoken to in ids and texts.</summary>
internal sealed class TestLog : IAsyncDisposable
{
    private TestLog(SegmentLog log, ManualTime time)
    {
        Log = log;
        Time = time;
        Appender = log.OpenAppender(Ledger, 64 << 20);
    }

    public SegmentLog Log { get; }
    public ManualTime Time { get; }
    public ListenerLedger Ledger { get; } = new(ListenerId.Tcp);
    public ILogAppender Appender { get; }

    public static LogOptions Small(string folder) => new()
    {
        Folder = folder,
        Partitions = 4,
        SegmentBytes = 64 << 10,
        GroupBytes = 16 << 10,
        RingBytes = 64 << 10,
        ReserveBytes = 0,
    };

    public static async Task<TestLog> OpenAsync(LogOptions options, IDisk? disk = null, ManualTime? time = null, ILogger? log = null)
    {
        time ??= new ManualTime();
        return new TestLog(await SegmentLog.OpenAsync(options, disk ?? PhysicalDisk.Instance, time, log ?? NullLogger.Instance), time);
    }

    public ReadingBatch Batch(params IEnumerable<(string Id, string Value)> readings)
    {
        var batch = new ReadingBatch(Log.PartitionCount);
        foreach (var (id, value) in readings)
        {
            batch.Add(0, Encoding.UTF8.GetBytes(id), ListenerId.Tcp, PayloadFormat.Text, ReadingFlags.None, Micros.None, [], Encoding.UTF8.GetBytes(value));
        }

        return batch;
    }

    public async Task<LogPosition> AppendAsync(string id, string value)
    {
        var batch = Batch((id, value));
        await Appender.AppendAsync(batch, CancellationToken.None);
        return batch.PositionOf(0);
    }

    /// <summary>Appends readings named m0, m1, … with numbered values, one group each.</summary>
    public async Task FillAsync(int readings, int valueBytes = 100)
    {
        for (var i = 0; i < readings; i++)
            await AppendAsync($"m{i % 17}", $"{i}:".PadRight(valueBytes, 'x'));
    }

    public List<Stored> ReadAll() => ReadFrom(Log.Oldest);

    public List<Stored> ReadFrom(PositionVector from)
    {
        using var reader = Log.OpenReader(from);
        return Drain(reader);
    }

    public static List<Stored> Drain(ILogReader reader)
    {
        List<Stored> all = [];
        while (reader.TryRead() is { } block)
        {
            foreach (var r in block)
                all.Add(new Stored(block.Partition, r.Sequence, r.ReceivedAt, Encoding.UTF8.GetString(r.Id), Encoding.UTF8.GetString(r.Payload)));
        }

        return all;
    }

    public ValueTask DisposeAsync() => Log.DisposeAsync();
}

internal sealed record Stored(int Partition, long Sequence, long ReceivedAt, string Id, string Value);
