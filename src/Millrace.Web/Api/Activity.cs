using Millrace.Core;

namespace Millrace.Web.Api;

/// <summary>What the server did in one interval. Counters are totals at its end.</summary>
/// <param name="Jobs">By name: readings taken, rows emitted, readings not yet read.</param>
internal sealed record ActivitySample(long At, long Stored, long LagReadings, IReadOnlyDictionary<string, (long RowsIn, long RowsOut, long Lag)> Jobs);

/// <summary>
/// The last hour in steps of ten seconds, so that a page that has just been opened has something to draw. In memory only. Thread-safe.
/// </summary>
internal sealed class Activity(ServerState state)
{
    public static readonly TimeSpan Step = TimeSpan.FromSeconds(10);

    private const int SamplesMax = 360;

    private readonly Lock _gate = new();
    private readonly Queue<ActivitySample> _samples = new(SamplesMax);

    /// <summary>Takes samples until <paramref name="stopping"/> fires. Never throws.</summary>
    public async Task RunAsync(CancellationToken stopping)
    {
        using var timer = new PeriodicTimer(Step, state.Parts.Time);
        try
        {
            do
                Add(Look());
            while (await timer.WaitForNextTickAsync(stopping));
        }
        catch (OperationCanceledException)
        {
            // The server stops.
        }
    }

    /// <summary>The samples held, oldest first.</summary>
    public IReadOnlyList<ActivitySample> Samples()
    {
        lock (_gate)
            return [.. _samples];
    }

    private ActivitySample Look()
    {
        var parts = state.Parts;
        var durable = parts.Log.Durable;
        return new ActivitySample(
            parts.Time.Now(), parts.Ledgers.Sum(l => l.Stored), parts.Views().Select(v => v.Position.LagBehind(durable)).DefaultIfEmpty().Max(),
            parts.Jobs?.All().ToDictionary(j => j.Name, j => (j.Status.RowsIn, j.Status.RowsOut, j.Status.LagReadings)) ?? []);
    }

    private void Add(ActivitySample sample)
    {
        lock (_gate)
        {
            if (_samples.Count == SamplesMax)
                _samples.Dequeue();
            _samples.Enqueue(sample);
        }
    }
}
