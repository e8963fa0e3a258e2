using Millrace.Core;

namespace Millrace.Processing.Enrolling;

/// <summary>
/// A rate per device, with a second's worth of readings at once. One 8-byte cell per device in a table of fixed size: 20
/// bits of hash and the time (µs, 44 bits) at which the device's account is even again. A device that finds its cell taken
/// by another takes it over with a fresh account: the limit is then too mild, never too strict. Lock-free.
/// </summary>
internal sealed class DeviceRateLimit
{
    /// <summary>8 MB for a million devices; only there when the limit is on.</summary>
    private const int Cells = 1 << 20;

    private const int TimeBits = 44;
    private const ulong TimeMask = (1UL << TimeBits) - 1;

    private readonly ulong[] _cells = new ulong[Cells];
    private readonly TimeProvider _time;
    private readonly long _startedAt;
    private readonly ulong _interval;
    private readonly ulong _burst;

    public DeviceRateLimit(double readingsPerSecond, TimeProvider time)
    {
        (_time, _startedAt) = (time, time.GetTimestamp());
        _interval = (ulong)Math.Max(1, Micros.PerSecond / readingsPerSecond);
        _burst = Math.Max(_interval, (ulong)Micros.PerSecond);
    }

    public bool TryTake(ulong hash)
    {
        ref var cell = ref _cells[hash & (Cells - 1)];
        var tag = hash & ~TimeMask;
        var now = (ulong)_time.GetElapsedTime(_startedAt).TotalMicroseconds;
        while (true)
        {
            var held = Volatile.Read(ref cell);
            var even = (held & ~TimeMask) == tag ? Math.Max(held & TimeMask, now) : now;
            if (even + _interval > now + _burst)
                return false;
            if (Interlocked.CompareExchange(ref cell, tag | (even + _interval), held) == held)
                return true;
        }
    }
}
