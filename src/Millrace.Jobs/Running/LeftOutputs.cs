using Microsoft.Extensions.Logging;
using Millrace.Jobs.Alerting;
using Millrace.Jobs.Definitions;
using Millrace.Outputs;
using Millrace.Outputs.Delivery;

namespace Millrace.Jobs.Running;

/// <summary>
/// What an edit leaves without a taker: rows of outputs and messages of channels that the new version does not have. They are delivered
/// where they were to go; what a target does not take soon is discarded, and said.
/// </summary>
internal sealed class LeftOutputs(JobServices services, ILogger log)
{
    /// <summary>Somebody waits for the answer to the edit.</summary>
    private static readonly TimeSpan DrainMax = TimeSpan.FromSeconds(5);

    private readonly OutputFactory _factory = new(services);

    /// <param name="before">The version before, which does not run any more; null: it cannot be read.</param>
    /// <param name="lineage">Of the version before.</param>
    /// <param name="folder">The job's.</param>
    /// <returns>What was discarded, as sentences.</returns>
    public async Task<IReadOnlyList<string>> SettleAsync(
        JobDefinition? before, JobDefinition now, Lineage lineage, string folder, CancellationToken cancel)
    {
        var root = Path.Combine(folder, "outputs");
        if (!Directory.Exists(root))
            return [];
        try
        {
            var kept = _factory.Places(now).Select(p => p.Folder).ToHashSet();
            var known = before is null ? [] : _factory.Places(before).ToDictionary(p => p.Folder);
            var left = Directory.EnumerateDirectories(root, "*", SearchOption.AllDirectories)
                .Where(path => Directory.EnumerateFiles(path).Any()).Select(path => Path.GetRelativePath(root, path))
                .Where(place => !kept.Contains(place)).OrderByDescending(place => place.Length).ToList();
            var waiting = await Task.WhenAll(left.Select(place => DrainAsync(now.Name, lineage, root, place, known.GetValueOrDefault(place), cancel)));
            foreach (var place in left)
                Remove(Path.Combine(root, place));
            List<string> told = [];
            foreach (var (place, count) in left.Zip(waiting).Where(l => l.Second > 0))
            {
                var what = known.GetValueOrDefault(place)?.Channel ?? known.GetValueOrDefault(place)?.Output ?? place;
                JobsLog.RowsDiscarded(log, now.Name, what, count);
                told.Add($"output {what} is gone: {count} rows that waited for it were discarded");
            }

            return told;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or JobDefinitionException or OutputException)
        {
            // The edit is made; what is left is looked at with the next one.
            JobsLog.LeftOutputsFailed(log, now.Name, e.Message);
            return [$"outputs that are gone could not be removed: {e.Message}"];
        }
    }

    /// <summary>Delivers what waits as far as it can; tells how many rows are left.</summary>
    private async Task<long> DrainAsync(string job, Lineage lineage, string root, string place, OutputPlace? known, CancellationToken cancel)
    {
        var path = Path.Combine(root, place);
        if (known?.Channel is { } channel)
        {
            await using (var to = new AlertChannel(channel, known.Spec, path, services, log))
                await to.DrainAsync(DrainMax, cancel);
            return services.Alerts.ForgetChannel(channel);
        }

        using var outbox = Outbox.Open(path);
        if (known is not null && outbox.PendingRows > 0)
        {
            var source = new OutputSource(job, known.Output) { Lineage = lineage };
            await using var pump = new OutputPump(
                source, _factory.Create(source, known.Kind, known.Spec, $"outputs.{known.Output}"), outbox, Path.Combine(path, "delivered.json"),
                services.Time, log, services.Retry);
            await pump.DrainAsync(DrainMax, cancel);
        }

        return outbox.PendingRows;
    }

    private static void Remove(string path)
    {
        foreach (var file in Directory.EnumerateFiles(path).ToList())
            File.Delete(file);
        if (!Directory.EnumerateFileSystemEntries(path).Any())
            Directory.Delete(path);
    }
}
