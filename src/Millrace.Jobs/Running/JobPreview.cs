using Millrace.Core;
using Millrace.Jobs.Definitions;
using Millrace.Jobs.Recorded;
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
        using var run = new RecordedRun(definition, query, sink, tenant);
        await SetReferencesAsync(definition, run.Execution, services, cancel);
        var startedAt = services.Time.GetTimestamp();
        var until = run.Run(services.Recorded, from, to, _ => services.Time.GetElapsedTime(startedAt) < TimeMax, cancel);
        return new JobPreview(
            query.Outputs.Select((name, i) => (name, sink._rows[i])).ToDictionary(p => p.name, p => p.Item2),
            query.Outputs.Select((name, i) => (name, (IReadOnlyList<byte[]>)sink._first[i])).ToDictionary(p => p.name, p => p.Item2),
            run.Readings, run.Counters, until, sink._bad);
    }

    public void OnRow(OutputRow row)
    {
        if (_rows[row.OutputOrdinal]++ < _limit)
            _first[row.OutputOrdinal].Add(row.Json.ToArray());
    }

    public void OnDeadLetter(in DeadLetter letter)
    {
        if (_bad.Count < BadEventsShown)
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
}
