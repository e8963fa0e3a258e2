using System.Text;
using Millrace.Core;
using Millrace.Jobs.Definitions;
using Millrace.Jobs.Running;
using Millrace.StreamSql;

namespace Millrace.Jobs.Recorded;

/// <summary>
/// One run of a job's query over recorded readings: it reads as far before the range as its windows reach, unseen, gives the rows
/// of the range and then ends as if the stream did. A scheduled job's query sees the range alone. Not thread-safe.
/// </summary>
public sealed class RecordedRun : IQuerySink, IDisposable
{
    /// <summary>As the start of a range: from the oldest reading there is, nothing unseen.</summary>
    public const long Beginning = long.MinValue;

    /// <summary>
    /// A dead letter shows the whole payload, and finding one again means looking through its hour: when more come, everything is read.
    /// </summary>
    private const int LettersFoundMax = 3;

    private const int PastReadingsStep = 1024;

    private readonly IQuerySink _sink;
    private readonly EventFeed _feed;
    private readonly long _reach;
    private readonly List<LostRange> _lost = [];
    private QueryCounters _before;
    private bool _muted;
    private IRecordedReadings? _cut;
    private int _lettersFound;

    /// <param name="query">The definition's query, compiled.</param>
    /// <param name="sink">Gets the rows of the range.</param>
    public RecordedRun(JobDefinition definition, CompiledQuery query, IQuerySink sink, ushort tenant)
    {
        ArgumentNullException.ThrowIfNull(definition);
        ArgumentNullException.ThrowIfNull(query);
        _sink = sink;
        _feed = new EventFeed(tenant, definition.Name, query.Inputs.Count);
        _reach = definition.Schedule is not null ? 0 : (long)(query.WarmUp + definition.LateArrival + definition.OutOfOrder).TotalMicroseconds;
        Execution = query.Start(this);
    }

    public QueryExecution Execution { get; }

    /// <summary>Whether readings of the history may come to the query as values of columns, without JSON between.</summary>
    public bool TakesColumns => Execution.Query.Inputs.Count == 1 && Execution.FieldsOf(0) is not null;

    /// <summary>Readings of the range that were given to the query.</summary>
    public long Readings { get; private set; }

    /// <summary>What was counted in the range.</summary>
    public QueryCounters Counters
    {
        get
        {
            var all = Execution.Counters;
            return new QueryCounters(
                all.Events - _before.Events, all.Rows - _before.Rows, all.Bad - _before.Bad, all.Late - _before.Late, all.Early - _before.Early,
                all.OutOfOrder - _before.OutOfOrder);
        }
    }

    internal EventFeed Feed => _feed;

    /// <summary>Readings that are not there any more, or damaged.</summary>
    public IReadOnlyList<LostRange> Lost => _lost;

    /// <summary>Feeds the range.</summary>
    /// <param name="to">Exclusive, µs.</param>
    /// <param name="goesOn">Asked between blocks, with the arrival reached.</param>
    /// <returns>The arrival up to which was read when <paramref name="goesOn"/> said no; null when all was read.</returns>
    /// <exception cref="QueryMemoryException">The state exceeds its limit.</exception>
    public long? Run(IRecordedReadings readings, long from, long to, Func<long, bool> goesOn, CancellationToken cancel)
    {
        ArgumentNullException.ThrowIfNull(goesOn);
        foreach (var reached in Steps(readings, from, to))
        {
            cancel.ThrowIfCancellationRequested();
            if (!goesOn(reached))
                return reached;
        }

        return null;
    }

    /// <summary>Feeds the range block by block, giving the arrival reached; the range has ended when the enumeration has.</summary>
    /// <param name="to">Exclusive, µs.</param>
    /// <exception cref="QueryMemoryException">The state exceeds its limit.</exception>
    public IEnumerable<long> Steps(IRecordedReadings readings, long from, long to)
    {
        ArgumentNullException.ThrowIfNull(readings);
        _muted = from != Beginning;
        var readsFrom = _muted ? from - _reach : Beginning;
        for (var begin = readsFrom; ;)
        {
            // Only members that the query names, as long as nobody has to see the others.
            var fields = Fields();
            _cut = fields is null ? null : readings;
            var isCutShort = false;
            using var reader = readings.Open(begin, to, fields);
            for (var count = 1; reader.TryReadPast() is { } past; count++)
            {
                Take(past, from);
                if (_cut is not null && _lettersFound > LettersFoundMax)
                {
                    (begin, isCutShort) = (past.ReceivedAt + 1, true);
                    break;
                }

                if (count % PastReadingsStep == 0)
                    yield return past.ReceivedAt;
            }

            Execution.Flush();
            if (isCutShort)
                continue;
            _cut = null;
            foreach (var arrival in BlockSteps(reader, begin, from, to))
                yield return arrival;
            break;
        }

        if (_muted)
            Unmute(from);
        Execution.Complete();
    }

    private IEnumerable<long> BlockSteps(IRecordedReader reader, long readsFrom, long from, long to)
    {
        while (reader.TryRead() is { } block)
        {
            while (reader.TakeLost() is { } lost)
                _lost.Add(lost);
            if (block.FirstReceivedAt >= to)
                break;
            Take(block, readsFrom, from, to);
            yield return block.LastReceivedAt;
        }
    }

    void IQuerySink.OnRow(OutputRow row)
    {
        if (!_muted)
            _sink.OnRow(row);
    }

    void IQuerySink.OnDeadLetter(in DeadLetter letter)
    {
        if (_muted)
            return;
        if (_cut is null || letter.ArrivalMicroseconds == 0)
        {
            _sink.OnDeadLetter(in letter);
            return;
        }

        _lettersFound++;
        using var reader = _cut.Open(letter.ArrivalMicroseconds, letter.ArrivalMicroseconds + 1);
        _sink.OnDeadLetter(reader.TryReadPast() is { } whole
            ? letter with { Payload = whole.Json, DeviceId = Encoding.UTF8.GetString(whole.Device) }
            : letter);
    }

    /// <summary>What the query names of payloads; null when it takes them as they are, or when many of them have to be shown.</summary>
    private WantedFields? Fields()
    {
        if (_lettersFound > LettersFoundMax)
            return null;
        var paths = Enumerable.Range(0, Execution.Query.Inputs.Count).SelectMany(Execution.PathsOf).ToList();
        return paths.Exists(path => path.Count == 0) ? null : new WantedFields(paths, TakesColumns);
    }

    private void Take(PastReading past, long from)
    {
        if (_muted && past.ReceivedAt >= from)
            Unmute(from);
        if (_feed.Push(Execution, past) && !_muted)
            Readings++;
    }

    private void Take(LogBlock block, long readsFrom, long from, long to)
    {
        foreach (var record in block)
        {
            if (record.ReceivedAt < readsFrom)
                continue;
            if (record.ReceivedAt >= to)
                break;
            if (_muted && record.ReceivedAt >= from)
                Unmute(from);
            if (_feed.Push(Execution, in record, block.Partition) && !_muted)
                Readings++;
        }

        // Several threads get whole batches: rows then come with a later block.
        if (Execution.Query.Options.Threads == 1)
            Execution.Flush();
    }

    public void Dispose() => Execution.Dispose();

    /// <summary>Everything that belongs before the first row is made now, unseen, as when a job has warmed up.</summary>
    private void Unmute(long from)
    {
        Execution.AdvanceArrival(from);
        _before = Execution.Counters;
        _muted = false;
    }
}
