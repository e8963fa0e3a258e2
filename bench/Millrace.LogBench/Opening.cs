using System.Diagnostics;
using Microsoft.Extensions.Logging.Abstractions;
using Millrace.Core;
using Millrace.Log;
using Millrace.Log.Disk;

namespace Millrace.LogBench;

/// <summary>How long a large log takes to open when the process before it was killed.</summary>
internal static class Opening
{
    private const int MarkBytes = 80 + (8 * 8); // docs/formats/log.md, 8 partitions

    public static async Task RunAsync(string work, double gigabytes)
    {
        var options = new LogOptions { Folder = Path.Combine(work, "open"), RetentionBytes = long.MaxValue };
        await using (var log = await SegmentLog.OpenAsync(options, PhysicalDisk.Instance, TimeProvider.System, NullLogger.Instance))
        {
            var appender = log.OpenAppender(new ListenerLedger(ListenerId.Http), 64 << 20);
            var batches = Enumerable.Range(0, 8).Select(i => Load.Batch(log.PartitionCount, i, 2000, 430)).ToArray();
            while (log.Bytes < gigabytes * 1e9)
                await Task.WhenAll(batches.Select(b => appender.AppendAsync(b, CancellationToken.None).AsTask()));
        }

        // A killed process leaves no mark at the end.
        using (var last = File.OpenWrite(Directory.GetFiles(options.Folder, "*.segment").Order().Last()))
            last.SetLength(last.Length - MarkBytes);

        var clock = Stopwatch.StartNew();
        await using var opened = await SegmentLog.OpenAsync(options, PhysicalDisk.Instance, TimeProvider.System, NullLogger.Instance);
        Console.WriteLine($"opened {opened.Bytes / 1e9:N1} GB without a mark in {clock.ElapsedMilliseconds} ms");
        clock.Restart();
        using var reader = opened.OpenReader(opened.PositionAt(TimeProvider.System.Now() - (5 * Micros.PerSecond)));
        var found = reader.TryRead()?.Count ?? 0;
        Console.WriteLine($"found the place of a time and read its first block ({found} readings) in {clock.Elapsed.TotalMilliseconds:N1} ms");
    }
}
