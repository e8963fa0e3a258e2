using System.Diagnostics;
using Millrace.Core;

namespace Millrace.Log.Writing;

internal enum Work
{
    Group,
    Housekeeping,
    Stop,
}

/// <summary>
/// Where appenders meet the writer: the open group, the closed ones that wait for the disk, and whether the log accepts.
/// A group is taken as soon as the writer is free when somebody waits for it; while the writer is busy the next one
/// gathers, so that the disk's own pace sets the size of groups. A group for which nobody waits may gather for the
/// group window, which spares flushes. Hot: one short lock per batch.
/// </summary>
internal sealed class Gathering
{
    private const int SparesMax = 4;

    private readonly object _gate = new(); // A monitor: the writer's thread waits on it with a deadline.
    private readonly int _partitions;
    private readonly int _groupBytes;
    private readonly long _windowTicks;
    private readonly long[] _next;
    private readonly Queue<Group> _closed = new();
    private readonly Stack<Group> _spares = new();
    private Group _open;
    private Group? _writing;
    private bool _writerWaits;
    private bool _housekeepingDue;
    private bool _stopping;
    private long _lastTakenAt;
    private LogState _state;
    private string? _stateDetail;

    public Gathering(int partitions, PositionVector next, int groupBytes, TimeSpan window)
    {
        _partitions = partitions;
        _groupBytes = groupBytes;
        _windowTicks = (long)(window.TotalSeconds * Stopwatch.Frequency);
        _next = [.. Enumerable.Range(0, partitions).Select(p => next[p])];
        _open = new Group(partitions, groupBytes);
    }

    public LogState State
    {
        get
        {
            lock (_gate)
                return _state;
        }
    }

    public string? StateDetail
    {
        get
        {
            lock (_gate)
                return _stateDetail;
        }
    }

    /// <summary>Copies a batch into the open group.</summary>
    /// <param name="waits">Whether the caller waits for it; then the batch learns its sequences and <paramref name="durable"/> is set.</param>
    /// <returns>False when the log does not accept; nothing was taken.</returns>
    public bool TryTake(Appender appender, ReadingBatch batch, bool waits, out Task? durable)
    {
        durable = null;
        var now = Stopwatch.GetTimestamp();
        lock (_gate)
        {
            if (_state != LogState.Accepting || _stopping)
                return false;

            var wake = _writerWaits && (waits || _open.IsEmpty);
            if (!_open.IsEmpty && _open.Bytes + batch.Bytes > _groupBytes)
            {
                _closed.Enqueue(_open);
                _open = Rent();
                wake = _writerWaits;
            }

            _open.Add(appender, batch, now);
            for (var p = 0; p < _partitions; p++)
            {
                if (waits)
                    batch.SetFirstSequence(p, _next[p]);
                _next[p] += batch.CountOf(p);
            }

            if (waits)
                durable = _open.Await();
            if (wake)
                Monitor.Pulse(_gate);
            return true;
        }
    }

    /// <summary>Completes when everything taken so far is durable, faults when it cannot be.</summary>
    public Task FlushAsync()
    {
        lock (_gate)
        {
            var newest = !_open.IsEmpty ? _open : _closed.LastOrDefault() ?? _writing;
            if (newest is null)
                return Task.CompletedTask;
            var durable = newest.Await();
            if (_writerWaits)
                Monitor.Pulse(_gate);
            return durable;
        }
    }

    /// <summary>The writer's next piece of work; waits for it.</summary>
    public Work Next(out Group? group)
    {
        lock (_gate)
        {
            while (true)
            {
                group = null;
                if (_housekeepingDue)
                {
                    _housekeepingDue = false;
                    return Work.Housekeeping;
                }

                if (_closed.TryDequeue(out group))
                    return Hand(group);

                if (!_open.IsEmpty && TicksToGather() is var ticks)
                {
                    if (ticks <= 0 || !WaitForPulse(ticks))
                    {
                        // A pulse may have closed the open group meanwhile: closed ones always go first.
                        if (_closed.TryDequeue(out group))
                            return Hand(group);
                        group = _open;
                        _open = Rent();
                        return Hand(group);
                    }

                    continue;
                }

                if (_stopping)
                    return Work.Stop;
                WaitForPulse(Timeout.Infinite);
            }
        }
    }

    /// <summary>The group's fate is decided: nobody can begin to wait for it any more. Who waits already is returned.</summary>
    public TaskCompletionSource? Settle(Group group)
    {
        lock (_gate)
        {
            _writing = null;
            return group.Durable;
        }
    }

    /// <summary>Takes a settled group back for reuse.</summary>
    public void Recycle(Group group)
    {
        lock (_gate)
        {
            if (group.Capacity > _groupBytes || _spares.Count >= SparesMax)
                return;
            group.Clear();
            _spares.Push(group);
        }
    }

    /// <summary>
    /// Stops accepting, and hands out what was gathered and not yet written so that its owners can be told; sequences go
    /// on from what is durable.
    /// </summary>
    public List<Group> Refuse(LogState state, string detail, PositionVector durable)
    {
        lock (_gate)
        {
            _state = state;
            _stateDetail = detail;
            List<Group> refused = [.. _closed];
            _closed.Clear();
            if (!_open.IsEmpty)
            {
                refused.Add(_open);
                _open = Rent();
            }

            for (var p = 0; p < _partitions; p++)
                _next[p] = durable[p];
            return refused;
        }
    }

    public void Accept()
    {
        lock (_gate)
        {
            _state = LogState.Accepting;
            _stateDetail = null;
        }
    }

    public void RequestHousekeeping()
    {
        lock (_gate)
        {
            _housekeepingDue = true;
            Monitor.Pulse(_gate);
        }
    }

    /// <summary>Takes nothing more; what was taken is still written.</summary>
    public void Stop()
    {
        lock (_gate)
        {
            _stopping = true;
            _stateDetail ??= "the event log is closed";
            Monitor.Pulse(_gate);
        }
    }

    private Work Hand(Group group)
    {
        _writing = group;
        _lastTakenAt = Stopwatch.GetTimestamp();
        return Work.Group;
    }

    private long TicksToGather() =>
        _stopping || _open.Durable is not null ? 0 : _lastTakenAt + _windowTicks - Stopwatch.GetTimestamp();

    /// <returns>False when the time ran out.</returns>
    private bool WaitForPulse(long ticks)
    {
        _writerWaits = true;
        var milliseconds = ticks < 0 ? Timeout.Infinite : (int)Math.Max(1, ticks * 1000 / Stopwatch.Frequency);
        var pulsed = Monitor.Wait(_gate, milliseconds);
        _writerWaits = false;
        return pulsed;
    }

    private Group Rent() => _spares.TryPop(out var spare) ? spare : new Group(_partitions, _groupBytes);
}
