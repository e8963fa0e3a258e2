using Microsoft.Extensions.Logging;
using Millrace.Core;
using Millrace.Jobs.Definitions;
using Millrace.Jobs.References;
using Millrace.Outputs;
using Millrace.Outputs.Live;
using Millrace.StreamSql;

namespace Millrace.Jobs.Running;

/// <summary>Where a version of a job begins when it has no snapshot of its own.</summary>
/// <param name="EmitFrom">Readings before this arrival only warm it up, µs; <see cref="long.MinValue"/>: from the oldest reading, all emitted.</param>
/// <param name="Begun">It has had a snapshot before: its rows have numbers that must not be given again.</param>
/// <param name="Lineage">By which targets know its rows.</param>
/// <param name="ForkAt">After this arrival the next version goes on, µs; null: this one does.</param>
/// <param name="Continues">The version whose state it goes on with when it has none of its own; null: none.</param>
internal sealed record JobStart(long EmitFrom, bool Begun, Lineage Lineage, long? ForkAt, int? Continues);

/// <summary>The job's state is gone and the log does not reach back to where its rows began: their numbers cannot be made again.</summary>
internal sealed class JobStateLostException(string message) : Exception(message);

/// <summary>The version has come to where a restored log ended: the next one goes on with its state.</summary>
internal sealed class JobForkException() : Exception("the next version goes on from here");

/// <summary>
/// One life of a job: from opening its state to a stop, a fault or its end. Reads the log in order of arrival, feeds the query and
/// saves both together, so that whatever happens the same rows come out under the same numbers.
/// </summary>
#pragma warning disable CA1001 // Reader and outputs live within RunAsync, which disposes them.
internal sealed class JobRun(
    JobDefinition definition, ushort tenant, int version, JobStart start, string folder, JobServices services, Downtime downtime,
    Func<string, LiveOutput> live, ILogger log) : IJobLife
#pragma warning restore CA1001
{
    /// <summary>
    /// At the tail readings are taken in portions: a nap costs latency that nobody sees and saves most wake-ups. While nothing
    /// comes it grows to the longer one.
    /// </summary>
    private static readonly TimeSpan NapMin = TimeSpan.FromMilliseconds(20);
    private static readonly TimeSpan NapMax = TimeSpan.FromMilliseconds(160);

    /// <summary>How long rows may wait to be handed on while the job catches up.</summary>
    private static readonly TimeSpan PublishEvery = TimeSpan.FromMilliseconds(100);

    private readonly JobSnapshot _snapshot = new(folder);
    private readonly List<LostRange> _lost = [];
    private readonly List<ReferenceRows> _references =
    [
        .. (definition.Inputs ?? []).Where(i => i.Reference is not null).Select(i => new ReferenceRows(i.Name, i.Reference!, folder, services)),
    ];

    private readonly MemoryGauge _memory = new(services.Time);
    private QueryExecution _execution = null!;
    private volatile JobOutputs _outputs = null!;
    private EventFeed _feed = null!;
    private ILogReader _reader = null!;
    private IReadOnlyCollection<string> _savedReferences = [];
    private long _lastArrival;
    private long _emitFrom;
    private long _exactFrom;
    private long _savedAt;
    private long _savedPosition;

    /// <summary>Where a restart would read from: what lies before is not needed any more.</summary>
    private PositionVector _savedVector = new(services.Log.PartitionCount);
    private bool _warming;
    private bool _took;

    /// <summary>Arrival of the first reading this life took, µs.</summary>
    private long _firstArrival;

    /// <summary>The log begins where the windows would still reach: results are exact only once they have filled.</summary>
    private bool _shortLog;
    private JobStatus _status = JobStatus.Stopped(version) with { State = JobState.Starting };

    /// <inheritdoc/>
    public JobStatus Status => _outputs is { } outputs ? Volatile.Read(ref _status) with { Outputs = outputs.Status } : Volatile.Read(ref _status);

    /// <summary>Smallest position at which this life began to read; a test proves that a restart reads no further back than its snapshot.</summary>
    public PositionVector? BeganAt { get; private set; }

    /// <inheritdoc/>
    public async Task RunAsync(CancellationToken stopping)
    {
        var query = services.Compile(definition);
        var reach = (long)query.WarmUp.TotalMicroseconds;
        await using (_outputs = new JobOutputs(
            definition, tenant, version, start.Lineage, query, folder, services, log, live, at => downtime.Overlaps(at - Math.Max(reach, Micros.PerSecond), at)))
        {
            _feed = new EventFeed(tenant, definition.Name, query.Inputs.Count);
            _outputs.DeadLettered = letter => _feed.KeepDeadLetter(letter, services.DeadLetters);
            await OpenAsync(query, stopping);
            using (_reader)
            using (services.HoldLog?.Invoke(() => Volatile.Read(ref _savedVector)))
            {
                _outputs.Start();
                JobsLog.Started(log, definition.Name, version, Micros.ToIso(_exactFrom));
                try
                {
                    await FeedAsync(stopping);
                }
                catch (OperationCanceledException) when (stopping.IsCancellationRequested)
                {
                    Save();
                }
            }
        }

        Report(JobState.Stopped);
    }

    private async ValueTask OpenAsync(CompiledQuery query, CancellationToken cancel)
    {
        var loaded = TryRestore(query);
        if (loaded is { } head)
        {
            (_lastArrival, _emitFrom, _exactFrom, _savedAt) = (head.LastArrival, head.EmitFrom, head.ExactFrom, head.SavedAt);
            _firstArrival = head.LastArrival;
            _warming = head.IsWarmUp;
            if (_warming)
                _outputs.Mute();
            else if (head.Version == version)
                _outputs.Restore(head.FirstNumbers, _execution);
            else
                _outputs.Unmute(_execution);
            foreach (var reference in _references)
            {
                if (reference.Restore(head.References.GetValueOrDefault(reference.Name, "")) is { } rows)
                    _execution.SetReference(reference.Name, rows);
            }

            BeganAt = PositionVector.Parse(head.Position);
        }
        else
        {
            _execution = query.Start(_outputs);
            BeganAt = StartPosition(query);
        }

        await LoadReferencesAsync(restored: loaded is not null, cancel);
        _reader = services.Log.OpenReader(BeganAt);
        _savedPosition = Sum(BeganAt);
        _savedVector = BeganAt;
    }

    private JobSnapshotHead? TryRestore(CompiledQuery query)
    {
        if ((_snapshot.Load(version) ?? (start.Continues is { } other ? _snapshot.Load(other) : null)) is not { } found)
            return null;
        try
        {
            _execution = query.Start(_outputs);
            _execution.Restore(found.State);
            return found.Head;
        }
        catch (InvalidDataException e)
        {
            // The engine's format changed with a release, say. The rows' numbers are kept by starting over from the same place.
            JobsLog.SnapshotRefused(log, definition.Name, e.Message);
            return null;
        }
    }

    /// <summary>Where a version without snapshot reads from: as far before its first row as its windows reach.</summary>
    private PositionVector StartPosition(CompiledQuery query)
    {
        _emitFrom = start.EmitFrom;
        if (_emitFrom == long.MinValue)
        {
            if (start.Begun && Sum(services.Log.Oldest) > 0)
                throw Lost();
            return services.Log.Oldest.Copy();
        }

        var reach = query.WarmUp + definition.LateArrival + definition.OutOfOrder;
        var position = services.Log.PositionAt(_emitFrom - (long)reach.TotalMicroseconds);
        _shortLog = position.Equals(services.Log.Oldest);
        if (start.Begun && _shortLog && Sum(services.Log.Oldest) > 0)
            throw Lost();
        _warming = true;
        _outputs.Mute();
        _exactFrom = _emitFrom;
        return position;
    }

    private JobStateLostException Lost() => new(
        $"no snapshot of job {definition.Name} can be read and the log no longer holds the readings it began with");

    private async Task FeedAsync(CancellationToken stopping)
    {
        var published = services.Time.GetTimestamp();
        var nap = NapMin;
        Report(_warming ? JobState.Warming : JobState.Running);
        while (true)
        {
            stopping.ThrowIfCancellationRequested();
            if (_outputs.Full is not null)
            {
                Report(JobState.Waiting);
                await _outputs.WaitForRoomAsync(stopping);
            }

            // The mark is read first: when nothing is to be read then, everything up to it has been taken.
            var lowWater = services.Log.ArrivalLowWater;
            var block = _reader.TryRead();
            if (start.ForkAt is { } end && (block is null ? lowWater >= end : block.FirstReceivedAt > end))
                Fork(end, block);
            if (block is null)
                Advance(lowWater);
            else
                Take(block);
            if (block is not null && services.Time.GetElapsedTime(published) < PublishEvery)
                continue;

            _outputs.Publish(Watermark);
            published = services.Time.GetTimestamp();
            SaveIfDue();
            Report(_warming ? JobState.Warming : JobState.Running);
            nap = block is not null || _took ? NapMin : nap * 2 < NapMax ? nap * 2 : NapMax;
            _took = false;
            if (block is not null)
                continue;
            await LoadReferencesAsync(restored: false, stopping);
            await Task.Delay(nap, services.Time, stopping);
        }
    }

    /// <summary>Everything that a restored log held is taken; a block from beyond it is read again by the next version.</summary>
    private void Fork(long end, LogBlock? beyond)
    {
        Advance(end);
        var position = _reader.Position.Copy();
        if (beyond is not null)
            position[beyond.Partition] = beyond.FirstSequence;
        Save(position);
        throw new JobForkException();
    }

    private void Take(LogBlock block)
    {
        if (_reader.TakeLost() is { } lost)
        {
            JobsLog.DataLost(log, definition.Name, lost.Partition, lost.From, lost.To);
            _lost.Add(lost);
            if (_lost.Count > 100)
                _lost.RemoveAt(0);
        }

        if (_firstArrival == 0)
        {
            _firstArrival = block.FirstReceivedAt;
            if (_exactFrom == 0)
                _exactFrom = _firstArrival;
            else if (_shortLog)
                _exactFrom = Math.Max(_exactFrom, Math.Min(_firstArrival, _exactFrom) + (long)_execution.Query.WarmUp.TotalMicroseconds);
        }

        _took = true;
        foreach (var record in block)
        {
            if (_warming && record.ReceivedAt >= _emitFrom)
                EndWarmUp();
            _feed.Push(_execution, in record, block.Partition);
        }

        _execution.Flush();
        _lastArrival = block.LastReceivedAt;
    }

    private void Advance(long lowWater)
    {
        if (lowWater <= _lastArrival)
            return;
        if (_warming && lowWater >= _emitFrom)
            EndWarmUp();
        _execution.AdvanceArrival(lowWater);
        _lastArrival = lowWater;
    }

    private void EndWarmUp()
    {
        // Everything that belongs before the first row is made now, unseen, whatever portions the readings came in.
        _execution.AdvanceArrival(_emitFrom);
        _warming = false;
        _outputs.Unmute(_execution);
    }

    private async ValueTask LoadReferencesAsync(bool restored, CancellationToken cancel)
    {
        // Right after a restart the rows of the snapshot stay in use until the job has caught up with where it was.
        if (restored)
            return;
        foreach (var reference in _references)
        {
            try
            {
                if (await reference.LoadIfChangedAsync(services.Time.Now(), cancel) is { } rows)
                {
                    _execution.SetReference(reference.Name, rows);
                    reference.RemoveOld(_savedReferences);
                    if (_reader is not null)
                        Save();
                }
            }
            catch (OutputException e) when (reference.InUse.Length > 0)
            {
                JobsLog.ReferenceFailed(log, definition.Name, reference.Name, e.Message);
            }
        }
    }

    private void SaveIfDue()
    {
        if (services.Time.Now() - _savedAt >= (long)services.SnapshotEvery.TotalMicroseconds && Sum(_reader.Position) != _savedPosition)
            Save();
    }

    private void Save() => Save(_reader.Position.Copy());

    private void Save(PositionVector position)
    {
        _outputs.Flush(Watermark);
        var head = new JobSnapshotHead(
            version, position.ToString(), _lastArrival, _emitFrom, _exactFrom, _warming ? [] : _outputs.FirstNumbers, services.Time.Now(),
            _references.ToDictionary(r => r.Name, r => r.InUse));
        _snapshot.Save(head, _execution);
        _savedReferences = [.. head.References.Values];
        (_savedAt, _savedPosition) = (head.SavedAt, Sum(position));
        Volatile.Write(ref _savedVector, position);
    }

    private long Watermark => _execution.WatermarkTicks is { } ticks
        ? (Math.Clamp(ticks, 0, DateTime.MaxValue.Ticks) - DateTime.UnixEpoch.Ticks) / TimeSpan.TicksPerMicrosecond
        : long.MinValue / 4;

    private void Report(JobState state)
    {
        var counters = _execution.Counters;
        var inputs = Math.Max(1, _execution.Query.Inputs.Count);
        Volatile.Write(ref _status, new JobStatus(
            state, version, _exactFrom, counters.Events / inputs, _outputs.RowsOut, counters.Bad, counters.Late, counters.Early, counters.OutOfOrder,
            _execution.WatermarkTicks is null ? null : Watermark, _reader.Position.LagBehind(services.Log.Durable), null, null, _memory.Bytes(_execution), _savedAt == 0 ? null : _savedAt, _snapshot.Bytes,
            [.. _lost], _outputs.Status));
    }

    private static long Sum(PositionVector position)
    {
        long sum = 0;
        for (var p = 0; p < position.Count; p++)
            sum += position[p];
        return sum;
    }
}
