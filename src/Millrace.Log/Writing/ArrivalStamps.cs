using Microsoft.Extensions.Logging;
using Millrace.Core;

namespace Millrace.Log.Writing;

/// <summary>
/// Gives out receivedAt: the wall clock, but always beyond every stamp given and every low-water mark told before. A
/// clock that goes back only makes the stamps go on from where they were. Thread-safe.
/// </summary>
internal sealed class ArrivalStamps(TimeProvider time, long last, ILogger log)
{
    private readonly Lock _gate = new();
    private long _last = last;
    private long _told = last;
    private long _inFlight = long.MaxValue;
    private long _lastNow;

    /// <summary>The last stamp given.</summary>
    public long Last
    {
        get
        {
            lock (_gate)
                return _last;
        }
    }

    /// <summary>No reading that becomes visible from now on has a stamp at or below this.</summary>
    public long LowWater
    {
        get
        {
            lock (_gate)
            {
                if (_inFlight != long.MaxValue)
                    return _inFlight - 1;
                return _told = Math.Max(Math.Max(_told, _last), time.Now() - 1);
            }
        }
    }

    /// <summary>Stamps a group: its first reading has the result, the others follow one by one.</summary>
    public long Begin(int count)
    {
        long back;
        long first;
        lock (_gate)
        {
            var now = time.Now();
            back = _lastNow - now;
            _lastNow = now;
            first = Math.Max(now, Math.Max(_last, _told) + 1);
            _inFlight = first;
            _last = first + count - 1;
        }

        if (back >= 1000)
            LogLog.ClockWentBack(log, back / 1000);
        return first;
    }

    /// <summary>The group is visible, or never will be.</summary>
    public void End()
    {
        lock (_gate)
            _inFlight = long.MaxValue;
    }
}
