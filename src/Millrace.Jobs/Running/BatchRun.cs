using Microsoft.Extensions.Logging;
using Millrace.Core;
using Millrace.Jobs.Definitions;
using Millrace.Jobs.Recorded;
using Millrace.Jobs.References;
using Millrace.Jobs.Scheduling;
using Millrace.Outputs.Live;
using Millrace.StreamSql;

namespace Millrace.Jobs.Running;

/// <summary>
/// One life of a scheduled job: at every due time the query runs once, from nothing, over the readings of the period. Periods are
/// worked off one after the other, also those that fell due while the server was down.
/// </summary>
#pragma warning disable CA1001 // The outputs live within RunAsync, which disposes them.
internal sealed class BatchRun(
    JobDefinition definition, ushort tenant, int version, JobStart start, string folder, JobServices services, Downtime downtime,
    Func<string, LiveOutput> live, ILogger log) : IJobLife
#pragma warning restore CA1001
{
    private static readonly TimeSpan LookMin = TimeSpan.FromMilliseconds(20);
    private static readonly TimeSpan LookMax = TimeSpan.FromSeconds(30);

    /// <summary>How long rows may wait to be handed on while a period is read.</summary>
    private static readonly TimeSpan PublishEvery = TimeSpan.FromMilliseconds(100);

    private readonly JobSchedule _schedule = definition.Schedule ?? throw new ArgumentException("the job has no schedule", nameof(definition));
    private readonly List<ReferenceRows> _references =
    [
        .. (definition.Inputs ?? []).Where(i => i.Reference is not null).Select(i => new ReferenceRows(i.Name, i.Reference!, folder, services)),
    ];

    private readonly MemoryGauge _memory = new(services.Time);
    private CompiledQuery _query = null!;
    private RecordedRun? _run;
    private volatile JobOutputs _outputs = null!;
    private BatchBooks _books = null!;
    private (long From, long To) _next;
    private PositionVector _needed = services.Log.Durable.Copy();
    private JobStatus _status = JobStatus.Stopped(version) with { State = JobState.Starting };

    /// <inheritdoc/>
    public JobStatus Status => _outputs is { } outputs ? Volatile.Read(ref _status) with { Outputs = outputs.Status } : Volatile.Read(ref _status);

    /// <inheritdoc/>
    public async Task RunAsync(CancellationToken stopping)
    {
        _query = services.Compile(definition);
        var none = _query.Outputs.Select(_ => 0L).ToList();
        _books = BatchBooks.Load(folder, version)
            ?? (start.Continues is { } other && BatchBooks.Load(folder, other) is { } books ? books with { Version = version, Rows = none, BegunTo = 0 } : null)
            ?? new BatchBooks(version, null, none, 0, new Dictionary<string, string>(), BatchTotals.None, 0);
        await using (_outputs = new JobOutputs(
            definition, tenant, version, start.Lineage, _query, folder, services, log, live, at => downtime.Overlaps(Math.Min(at - Micros.PerSecond, _next.From), at)))
        {
            _outputs.DeadLettered = letter => _run!.Feed.KeepDeadLetter(letter, services.DeadLetters);
            using (services.HoldLog?.Invoke(() => Volatile.Read(ref _needed)))
            {
                _outputs.Start();
                try
                {
                    await RunPeriodsAsync(stopping);
                }
                catch (OperationCanceledException) when (stopping.IsCancellationRequested)
                {
                    // A period under way runs again from its beginning.
                }
            }
        }

        Report(JobState.Stopped);
    }

    private async Task RunPeriodsAsync(CancellationToken stopping)
    {
        while (_schedule.NextAfter(_books.DoneTo ?? Start()) is { } next)
        {
            if (next.To > start.ForkAt)
                throw new JobForkException();
            _next = next;
            Volatile.Write(ref _needed, services.Log.PositionAt(next.From));
            await UntilRecordedAsync(next.To, stopping);
            await RunPeriodAsync(stopping);
        }
    }

    /// <summary>The moment after which the first run falls due.</summary>
    private long Start()
    {
        if (start.EmitFrom != long.MinValue)
            return start.EmitFrom;
        using var reader = services.Recorded.Open(0);
        return reader.TryRead() is { } oldest ? oldest.FirstReceivedAt - 1 : services.Time.Now();
    }

    /// <summary>Waits until no reading can arrive any more that belongs before a moment.</summary>
    private async Task UntilRecordedAsync(long to, CancellationToken stopping)
    {
        Report(JobState.Scheduled);
        while (services.Log.ArrivalLowWater < to)
        {
            var left = TimeSpan.FromMicroseconds(Math.Clamp(to - services.Time.Now(), 0, (long)LookMax.TotalMicroseconds));
            await Task.Delay(left < LookMin ? LookMin : left, services.Time, stopping);
            Report(JobState.Scheduled);
        }
    }

    private async Task RunPeriodAsync(CancellationToken stopping)
    {
        _run = new RecordedRun(definition, _query, _outputs, tenant);
        await LoadReferencesAsync(_run.Execution, stopping);
        _outputs.Continue(_books.Rows, _run.Execution);
        var published = services.Time.GetTimestamp();
        // As windows have it: the beginning does not belong to a period, the end does.
        foreach (var _ in _run.Steps(services.Recorded, _next.From + 1, _next.To + 1))
        {
            stopping.ThrowIfCancellationRequested();
            if (services.Time.GetElapsedTime(published) < PublishEvery)
                continue;
            _outputs.Publish(_next.From);
            published = services.Time.GetTimestamp();
            if (_outputs.Full is not null)
            {
                Report(JobState.Waiting);
                await _outputs.WaitForRoomAsync(stopping);
            }

            Report(JobState.Running);
        }

        _outputs.Publish(_next.To);
        _outputs.Flush(_next.To);
        _books = _books with
        {
            DoneTo = _next.To,
            Rows = _outputs.NextNumbers,
            Totals = TotalsNow,
            SavedAt = services.Time.Now(),
        };
        _run = null;
        _books.Save(folder);
        JobsLog.PeriodDone(log, definition.Name, Micros.ToIso(_next.From), Micros.ToIso(_next.To));
    }

    /// <summary>A period that was begun before meets the same rows again; any other the newest.</summary>
    private async ValueTask LoadReferencesAsync(QueryExecution execution, CancellationToken cancel)
    {
        if (_references.Count == 0)
            return;
        var again = _books.BegunTo == _next.To;
        foreach (var reference in _references)
        {
            var rows = (again ? reference.Restore(_books.References.GetValueOrDefault(reference.Name, "")) : null)
                ?? await reference.LoadIfChangedAsync(services.Time.Now(), cancel) ?? reference.Restore(reference.InUse);
            if (rows is not null)
                execution.SetReference(reference.Name, rows);
        }

        _books = _books with { BegunTo = _next.To, References = _references.ToDictionary(r => r.Name, r => r.InUse) };
        _books.Save(folder);
        _references.ForEach(r => r.RemoveOld([]));
    }

    private BatchTotals TotalsNow => _run is null ? _books.Totals : _books.Totals.Plus(_run);

    private void Report(JobState state)
    {
        var totals = TotalsNow;
        Volatile.Write(ref _status, new JobStatus(
            state, version, null, totals.RowsIn, _outputs.RowsOut, totals.Bad, totals.Late, totals.Early, totals.OutOfOrder, _books.DoneTo, 0, null, null,
            _run is null ? 0 : _memory.Bytes(_run.Execution), _books.SavedAt == 0 ? null : _books.SavedAt, 0, [], _outputs.Status)
        {
            NextRunAt = _next.To,
        });
    }
}
