using Millrace.Core;
using Millrace.Jobs.Definitions;
using Millrace.Jobs.References;
using Millrace.StreamSql;

namespace Millrace.Jobs.Running;

/// <summary>What a job would have emitted.</summary>
/// <param name="Rows">Rows per output.</param>
/// <param name="First">The first rows of each output, as JSON.</param>
/// <param name="Until">The arrival up to which was read when time ran out, µs; null when all was read.</param>
public sealed record JobPreview(
    IReadOnlyDictionary<string, long> Rows, IReadOnlyDictionary<string, IReadOnlyList<byte[]>> First, long Events, QueryCounters Counters, long? Until,
    IReadOnlyList<string> BadEvents);

/// <summary>Runs a definition once over recorded readings; nothing leaves.</summary>
internal sealed class JobPreviewRun : IQuerySink
{
    /// <summary>A browser waits for this.</summary>
    private static readonly TimeSpan TimeMax = TimeSpan.FromSeconds(20);

    private const int BadEventsShown = 20;

    private readonly long[] _rows;
    private readonly List<byte[]>[] _first;
    private readonly List<string> _bad = [];
    private readonly int _limit;
    private bool _muted = true;

    private JobPreviewRun(int outputs, int limit)
    {
        _limit = limit;
        _rows = new long[outputs];
        _first = [.. Enumerable.Range(0, outputs).Select(_ => new List<byte[]>())];
    }

    public static async Task<JobPreview> RunAsync(
        JobDefinition definition, ushort tenant, long from, long to, int limit, JobServices services, CancellationToken cancel)
    {
        var query = definition.Compile(services.Functions).Query!;
        var sink = new JobPreviewRun(query.Outputs.Count, limit);
        var execution = query.Start(sink);
        await SetReferencesAsync(definition, execution, services, cancel);
        var reach = query.WarmUp + definition.LateArrival + definition.OutOfOrder;
        using var reader = services.Recorded.Open(from - (long)reach.TotalMicroseconds, to);
        var feed = new EventFeed(tenant, definition.Name, query.Inputs.Count);
        var until = sink.Feed(execution, feed, reader, from, to, services.Time, cancel);
        var counters = execution.Counters;
        return new JobPreview(
            query.Outputs.Select((name, i) => (name, sink._rows[i])).ToDictionary(p => p.name, p => p.Item2),
            query.Outputs.Select((name, i) => (name, (IReadOnlyList<byte[]>)sink._first[i])).ToDictionary(p => p.name, p => p.Item2),
            counters.Events / Math.Max(1, query.Inputs.Count), counters, until, sink._bad);
    }

    public void OnRow(OutputRow row)
    {
        if (_muted)
            return;
        if (_rows[row.OutputOrdinal]++ < _limit)
            _first[row.OutputOrdinal].Add(row.Json.ToArray());
    }

    public void OnDeadLetter(in DeadLetter letter)
    {
        if (!_muted && _bad.Count < BadEventsShown)
            _bad.Add($"{letter.Query}: {letter.Reason}");
    }

    private static async Task SetReferencesAsync(JobDefinition definition, QueryExecution execution, JobServices services, CancellationToken cancel)
    {
        var folder = Directory.CreateTempSubdirectory("millrace-preview-").FullName;
        try
        {
            foreach (var input in (definition.Inputs ?? []).Where(i => i.Reference is not null))
            {
                var rows = await new ReferenceRows(input.Name, input.Reference!, folder, services).LoadIfChangedAsync(services.Time.Now(), cancel);
                if (rows is not null)
                    execution.SetReference(input.Name, rows);
            }
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    /// <summary>Feeds the range, and says how far it came when time ran out.</summary>
    private long? Feed(QueryExecution execution, EventFeed feed, IRecordedReader reader, long from, long to, TimeProvider time, CancellationToken cancel)
    {
        var startedAt = time.GetTimestamp();
        while (reader.TryRead() is { } block && block.FirstReceivedAt < to)
        {
            cancel.ThrowIfCancellationRequested();
            foreach (var record in block)
            {
                if (record.ReceivedAt >= to)
                    break;
                if (_muted && record.ReceivedAt >= from)
                    Unmute(execution, from);
                feed.Push(execution, in record, block.Partition);
            }

            if (time.GetElapsedTime(startedAt) > TimeMax)
                return block.LastReceivedAt;
        }

        if (_muted)
            Unmute(execution, from);
        execution.Complete();
        return null;
    }

    private void Unmute(QueryExecution execution, long from)
    {
        execution.AdvanceArrival(from);
        _muted = false;
    }
}
