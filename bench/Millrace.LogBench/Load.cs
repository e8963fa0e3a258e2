using System.Diagnostics;
using System.Text;
using Microsoft.Extensions.Logging.Abstractions;
using Millrace.Core;
using Millrace.Log;
using Millrace.Log.Disk;

namespace Millrace.LogBench;

/// <summary>What one measurement did.</summary>
internal sealed record Outcome(double ReadingsPerSecond, double MegabytesPerSecond, double P50Ms, double P99Ms, double MaxMs, double CpuSecondsPerMillion, double BytesAllocatedPerReading);

/// <summary>Appenders that append as soon as their last batch is durable, over real files.</summary>
internal static class Load
{
    private const int LatenciesMax = 1 << 16; // Per appender; room for them is made before anything is counted.

    public static async Task<Outcome> RunAsync(string folder, int appenders, int readingsPerBatch, int payloadBytes, TimeSpan duration)
    {
        var options = new LogOptions { Folder = folder, RetentionBytes = 4L << 30 };
        await using var log = await SegmentLog.OpenAsync(options, PhysicalDisk.Instance, TimeProvider.System, NullLogger.Instance);
        List<List<double>> latencies = [.. Enumerable.Range(0, appenders).Select(_ => new List<double>(LatenciesMax))];
        await AppendAsync(log, latencies, readingsPerBatch, payloadBytes, TimeSpan.FromMilliseconds(500)); // Warm.

        var (allocated, cpu, bytes) = (GC.GetTotalAllocatedBytes(), Environment.CpuUsage.TotalTime, log.Bytes);
        var clock = Stopwatch.StartNew();
        var batches = await AppendAsync(log, latencies, readingsPerBatch, payloadBytes, duration);
        var elapsed = clock.Elapsed.TotalSeconds;
        (allocated, cpu, bytes) = (GC.GetTotalAllocatedBytes() - allocated, Environment.CpuUsage.TotalTime - cpu, log.Bytes - bytes);
        var readings = (double)batches * readingsPerBatch;
        List<double> all = [.. latencies.SelectMany(l => l).Order()];
        return new Outcome(
            readings / elapsed, bytes / elapsed / 1e6, all[all.Count / 2], all[(int)(all.Count * 0.99)], all[^1],
            cpu.TotalSeconds / readings * 1e6, allocated / readings);
    }

    /// <summary>The same bytes by bare sequential writes, each followed by fdatasync.</summary>
    public static double RawMegabytesPerSecond(string path, int writeBytes, bool preallocate, TimeSpan duration)
    {
        var bytes = new byte[writeBytes];
        Random.Shared.NextBytes(bytes);
        if (preallocate)
        {
            // fallocate without changing the length, as a log would do ahead of its writing.
            File.OpenHandle(path, FileMode.Create, FileAccess.Write, FileShare.ReadWrite, FileOptions.None, 2L << 30).Dispose();
        }

        using var file = PhysicalDisk.Instance.Open(path, preallocate ? DiskOpen.ReadWrite : DiskOpen.Create);
        long written = 0;
        var clock = Stopwatch.StartNew();
        while (clock.Elapsed < duration && written < 2L << 30)
        {
            file.WriteAt(written, bytes);
            file.Flush();
            written += writeBytes;
        }

        var rate = written / clock.Elapsed.TotalSeconds / 1e6;
        file.Dispose();
        File.Delete(path);
        return rate;
    }

    public static ReadingBatch Batch(int partitions, int seed, int readings, int payloadBytes)
    {
        var batch = new ReadingBatch(partitions);
        var payload = Encoding.ASCII.GetBytes(new string('7', payloadBytes));
        for (var i = 0; i < readings; i++)
        {
            batch.Add(
                0, Encoding.ASCII.GetBytes($"AB{seed * 7919 + i:0000000}"), ListenerId.Http, PayloadFormat.Json, ReadingFlags.None, Micros.None, [], payload);
        }

        return batch;
    }

    private static async Task<long> AppendAsync(SegmentLog log, List<List<double>> latencies, int readingsPerBatch, int payloadBytes, TimeSpan duration)
    {
        var appender = log.OpenAppender(new ListenerLedger(ListenerId.Http), 64 << 20);
        var counts = await Task.WhenAll(latencies.Select((mine, n) => Task.Run(async () =>
        {
            var batch = Batch(log.PartitionCount, n, readingsPerBatch, payloadBytes);
            var count = 0L;
            mine.Clear();
            for (var clock = Stopwatch.StartNew(); clock.Elapsed < duration; count++)
            {
                var started = Stopwatch.GetTimestamp();
                await appender.AppendAsync(batch, CancellationToken.None);
                if (mine.Count < LatenciesMax)
                    mine.Add(Stopwatch.GetElapsedTime(started).TotalMilliseconds);
            }

            return count;
        })));
        return counts.Sum();
    }
}
