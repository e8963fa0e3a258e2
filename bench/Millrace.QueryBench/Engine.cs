using System.Diagnostics;
using Millrace.StreamSql;

namespace Millrace.QueryBench;

/// <summary>Counts and measures what an execution writes; the bytes are made, as for a file.</summary>
internal sealed class CountingSink : IQuerySink
{
    public long Rows { get; private set; }

    public long Bytes { get; private set; }

    public long DeadLetters { get; private set; }

    public void OnRow(OutputRow row)
    {
        Rows++;
        Bytes += row.Json.Length;
    }

    public void OnDeadLetter(in DeadLetter letter) => DeadLetters++;
}

/// <param name="Seconds">Of processors.</param>
/// <param name="Elapsed">Seconds of the clock.</param>
internal sealed record Measured(double Seconds, double Elapsed, long Events, long Rows, long StateBytes, long AllocatedBytes);

internal static class Engine
{
    /// <summary>Reads the file and runs the script over its lines, rows written as JSON.</summary>
    public static Measured Run(string script, string input, string path, int events, int threads = 1)
    {
        var query = StreamQuery.Compile(script, new CompileOptions { Inputs = [input], Threads = threads }).Query
            ?? throw new InvalidOperationException("the script does not compile");
        var sink = new CountingSink();
        using var execution = query.Start(sink);
        var allocated = GC.GetAllocatedBytesForCurrentThread();
        using var self = Process.GetCurrentProcess();
        var before = self.TotalProcessorTime;
        var started = Stopwatch.GetTimestamp();
        using var file = File.OpenHandle(path, options: FileOptions.SequentialScan);
        var buffer = new byte[1 << 20];
        long position = 0;
        var kept = 0;
        long arrival = new DateTimeOffset(2026, 3, 2, 8, 0, 0, TimeSpan.Zero).ToUnixTimeMilliseconds() * 1000;
        while (true)
        {
            var read = RandomAccess.Read(file, buffer.AsSpan(kept), position);
            if (read == 0)
                break;
            position += read;
            var block = buffer.AsSpan(0, kept + read);
            while (true)
            {
                var end = block.IndexOf((byte)'\n');
                if (end < 0)
                    break;
                execution.Post(0, ++arrival, block[..end]);
                block = block[(end + 1)..];
            }

            block.CopyTo(buffer);
            kept = block.Length;
        }

        var held = execution.EstimateMemory();
        execution.Complete();
        var elapsed = Stopwatch.GetElapsedTime(started).TotalSeconds;
        self.Refresh();
        var seconds = (self.TotalProcessorTime - before).TotalSeconds;
        if (execution.Counters.Events != events || execution.Counters.Bad != 0)
            throw new InvalidOperationException($"{execution.Counters}");
        return new Measured(seconds, elapsed, events, sink.Rows, held, GC.GetAllocatedBytesForCurrentThread() - allocated);
    }
}
