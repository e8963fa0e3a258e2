using System.Diagnostics;
using System.Numerics;

namespace Millrace.Commands.Simulate;

/// <summary>Latencies in buckets of about six per cent, from microseconds to hours. Thread-safe.</summary>
internal sealed class LatencyHistogram
{
    private const int StepsPerOctave = 16;

    private readonly long[] _buckets = new long[40 * StepsPerOctave];
    private long _maxMicros;

    public long Count => _buckets.Sum();

    public TimeSpan Max => TimeSpan.FromMicroseconds(Interlocked.Read(ref _maxMicros));

    /// <summary>Adds the time from one <see cref="Stopwatch.GetTimestamp"/> to another.</summary>
    public void Add(long fromTimestamp, long toTimestamp, long times = 1)
    {
        var micros = (long)Stopwatch.GetElapsedTime(fromTimestamp, toTimestamp).TotalMicroseconds;
        Interlocked.Add(ref _buckets[Bucket(micros)], times);
        for (var max = Interlocked.Read(ref _maxMicros); micros > max; max = Interlocked.Read(ref _maxMicros))
        {
            if (Interlocked.CompareExchange(ref _maxMicros, micros, max) == max)
                break;
        }
    }

    /// <summary>The latency that <paramref name="share"/> of all did not exceed, to the precision of a bucket.</summary>
    public TimeSpan Quantile(double share)
    {
        var rank = Math.Max(1, (long)Math.Ceiling(Count * share));
        long seen = 0;
        for (var i = 0; i < _buckets.Length; i++)
        {
            seen += Interlocked.Read(ref _buckets[i]);
            if (seen >= rank)
                return TimeSpan.FromMicroseconds(Math.Min(UpperMicros(i), Max.TotalMicroseconds));
        }

        return Max;
    }

    private int Bucket(long micros)
    {
        var value = (ulong)Math.Max(micros, 0) + StepsPerOctave;
        var octave = BitOperations.Log2(value) - 4;
        return (int)Math.Min(_buckets.Length - 1, (octave * StepsPerOctave) + (int)((value >> octave) - StepsPerOctave));
    }

    private static double UpperMicros(int bucket)
    {
        var (octave, step) = Math.DivRem(bucket, StepsPerOctave);
        return ((double)(StepsPerOctave + step + 1) * (1L << octave)) - StepsPerOctave;
    }
}
