using System.Numerics;

namespace Millrace.Commands.Simulate;

/// <summary>Which devices are due, as time goes by. One schedule belongs to one sender.</summary>
internal abstract class Schedule
{
    private long _left;

    protected Schedule(long? count) => _left = count ?? long.MaxValue;

    /// <summary>No reading will ever be due again.</summary>
    public bool IsOver => _left == 0;

    /// <summary>Fills in devices that are due at <paramref name="elapsed"/> and have not been taken yet.</summary>
    public int Take(TimeSpan elapsed, Span<int> devices)
    {
        var room = (int)Math.Min(devices.Length, _left);
        var taken = TakeDue(elapsed, devices[..room]);
        _left -= taken;
        return taken;
    }

    protected abstract int TakeDue(TimeSpan elapsed, Span<int> devices);

    /// <summary>The schedule of sender <paramref name="index"/> of <paramref name="senders"/>, which owns every so-many-th device.</summary>
    public static Schedule Create(SimulationOptions options, int devices, int index, int senders)
    {
        var own = (devices - index + senders - 1) / senders;
        long? count = options.Count is { } all ? (all / senders) + (index < all % senders ? 1 : 0) : null;
        return options.Interval is { } interval
            ? new IntervalSchedule(own, index, senders, interval, options.Seed, count)
            : new RateSchedule(own, index, senders, (options.Rate ?? 0) * own / devices, options.Seed, count);
    }
}

/// <summary>A steady rate over all devices in turn, in an order that jumps about; rate 0 is always due.</summary>
internal sealed class RateSchedule(int own, int first, int step, double perSecond, ulong seed, long? count) : Schedule(count)
{
    private readonly long _stride = Stride(own, seed);
    private long _taken;
    private long _at = own == 0 ? 0 : (long)(seed % (ulong)own);

    protected override int TakeDue(TimeSpan elapsed, Span<int> devices)
    {
        if (own == 0)
            return 0;
        var due = perSecond > 0 ? Math.Min(devices.Length, (long)(elapsed.TotalSeconds * perSecond) - _taken) : devices.Length;
        for (var i = 0; i < due; i++)
        {
            devices[i] = first + ((int)_at * step);
            _at = (_at + _stride) % own;
        }

        _taken += Math.Max(due, 0);
        return (int)Math.Max(due, 0);
    }

    /// <summary>A step near the golden section that visits every device once per round.</summary>
    private static long Stride(int own, ulong seed)
    {
        var stride = Math.Max(1, (long)(own * 0.618) + (long)(seed % 17));
        while (own > 0 && BigInteger.GreatestCommonDivisor(stride, own) != 1)
            stride++;
        return stride;
    }
}

/// <summary>Every device once per interval, at a phase of its own, each time moved by up to a tenth of the interval.</summary>
internal sealed class IntervalSchedule : Schedule
{
    private const double JitterShare = 0.1;
    private const double BucketSeconds = 0.01;

    private readonly int _own;
    private readonly int _first;
    private readonly int _step;
    private readonly double _intervalSeconds;
    private readonly ulong _seed;
    private readonly List<int>[] _buckets;
    private readonly Queue<int> _due = new();
    private long _slot;
    private long _bucket;

    public IntervalSchedule(int own, int first, int step, TimeSpan interval, ulong seed, long? count) : base(count)
    {
        (_own, _first, _step, _seed) = (own, first, step, seed);
        _intervalSeconds = interval.TotalSeconds;
        _buckets = new List<int>[(int)Math.Ceiling(2 * JitterShare * _intervalSeconds / BucketSeconds) + 4];
        for (var i = 0; i < _buckets.Length; i++)
            _buckets[i] = [];
    }

    protected override int TakeDue(TimeSpan elapsed, Span<int> devices)
    {
        var now = (long)(elapsed.TotalSeconds / BucketSeconds);
        for (; _own > 0 && _bucket <= now; _bucket++)
            OpenBucket();

        var taken = 0;
        while (taken < devices.Length && _due.TryDequeue(out var device))
            devices[taken++] = device;
        return taken;
    }

    private void OpenBucket()
    {
        // A slot can move forward by twice the jitter (its base is already one jitter late, so that none is due before the start).
        while (_slot * _intervalSeconds / _own <= (_bucket + 1) * BucketSeconds)
        {
            var draw = (double)(SplitMix.Mix(_seed ^ (ulong)_slot) >> 11) / (1UL << 53);
            var at = (_slot * _intervalSeconds / _own) + (draw * 2 * JitterShare * _intervalSeconds);
            var bucket = Math.Max(_bucket, (long)(at / BucketSeconds));
            _buckets[bucket % _buckets.Length].Add((int)(_slot % _own));
            _slot++;
        }

        var open = _buckets[_bucket % _buckets.Length];
        foreach (var own in open)
            _due.Enqueue(_first + (own * _step));
        open.Clear();
    }
}
