using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;
using Microsoft.Extensions.Logging;
using Millrace.Core;
using Millrace.History.Archive;
using Millrace.History.Queries;
using Millrace.History.Rollups.Stored;
using Millrace.Parquet;

namespace Millrace.History.Rollups.Devices;

/// <summary>What a day's file of cells says it was made from.</summary>
/// <param name="Skipped">Files of the day that could not be read, each with the mark it had then; null in files of releases that did not say.</param>
internal sealed record DayMeta(string Position, long Rows, Dictionary<string, string>? Skipped = null);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase)]
[JsonSerializable(typeof(DayMeta))]
internal sealed partial class DayMetaJson : JsonSerializerContext;

/// <summary>
/// The quarter-hours of every device, a file a day (docs/formats/rollups.md). A file is made from the day's archived readings up to a position of
/// the log and from nothing else; what came later is added when somebody asks. So a crash costs nothing, and nothing counts twice.
/// </summary>
/// <param name="retention">How long readings and quarter-hours are kept; null: quarter-hours go with the readings.</param>
public sealed class DeviceRollups(string root, ArchiveReader archive, TimeProvider time, ILogger logger, QuarterHourRetention? retention = null)
{
    private const long Day = 86_400 * Micros.PerSecond;

    private static readonly TimeSpan LookEvery = TimeSpan.FromMinutes(1);

    /// <summary>A day that is over waits so long for what comes late, and is then made anew for little.</summary>
    private const long Late = 3600 * Micros.PerSecond;

    /// <summary>A day that goes on is not made anew for less.</summary>
    private const long RowsMin = 1000;

    private readonly Lock _gate = new();

    /// <summary>Makes files as days grow, until told to leave. Never throws.</summary>
    public async Task RunAsync(CancellationToken leaving)
    {
        while (!leaving.IsCancellationRequested)
        {
            try
            {
                await Task.Delay(LookEvery, time, leaving);
                await Task.Run(() => Update(leaving), leaving);
            }
            catch (OperationCanceledException) when (leaving.IsCancellationRequested)
            {
                // Leaving: the loop's condition ends it.
            }
            catch (Exception fault)
            {
                // The readings themselves are asked meanwhile.
                RollupLog.NotMade(logger, fault.Message);
            }
        }
    }

    /// <summary>Makes the files of the days that have grown enough, and deletes those of days that are past their retention.</summary>
    /// <param name="all">Of all days that have grown at all.</param>
    public void Update(CancellationToken cancel, bool all = false)
    {
        if (archive.Held is not { } held)
            return;

        var kept = new HashSet<string>(StringComparer.Ordinal);
        foreach (var (tenant, day, files) in archive.DayFiles())
        {
            cancel.ThrowIfCancellationRequested();
            if (IsPast(tenant, day))
                continue;

            kept.Add(PathOf(tenant, day));
            try
            {
                lock (_gate)
                    Update(tenant, day, files, held, all, cancel);
            }
            catch (Exception fault) when (fault is not OperationCanceledException)
            {
                // The readings of the day are asked meanwhile, and the other days go on.
                RollupLog.NotMade(logger, fault.Message);
            }
        }

        lock (_gate)
            DeleteBut(kept);
    }

    /// <summary>Takes a device out of all files of its tenant, also of days that the archive has no more.</summary>
    /// <returns>How many were written again.</returns>
    public int Erase(ushort tenant, string device)
    {
        ArgumentException.ThrowIfNullOrEmpty(device);
        var id = Encoding.UTF8.GetBytes(device);
        var written = 0;
        lock (_gate)
        {
            foreach (var path in Files($"tenant={tenant}"))
            {
                try
                {
                    written += EraseFrom(path, tenant, id) ? 1 : 0;
                }
                catch (InvalidDataException fault)
                {
                    RollupLog.FileUnreadable(logger, fault.Message);
                    File.Delete(path); // Made anew from the archive.
                }
            }
        }

        return written;
    }

    /// <summary>The stored cells of a device's day, and the position up to which they hold its readings; null when there are none.</summary>
    internal (PositionVector Position, List<FieldCells> Fields)? Find(ushort tenant, long day, ReadOnlySpan<byte> device, IReadOnlyCollection<string>? fields)
    {
        try
        {
            using var file = Open(tenant, day);
            return file is null ? null : (PositionVector.Parse(MetaOf(file).Position), file.Find(DeviceIds.Hash(tenant, device), device, fields));
        }
        catch (InvalidDataException fault)
        {
            RollupLog.FileUnreadable(logger, fault.Message);
            return null;
        }
    }

    private void Update(ushort tenant, long day, List<ArchivedFile> files, PositionVector held, bool all, CancellationToken cancel)
    {
        var made = ReadMeta(tenant, day);
        // A restored archive may stand before what its cells were made from: it comes there again.
        if (made is not null && held.LagBehind(PositionVector.Parse(made.Position)) > 0)
            return;

        // Made by a release that did not see all of what was erased, or from less than there is now.
        if (made is not null && (made.Skipped is null || made.Skipped.Any(file => files.Exists(f => f.Name == file.Key) && MarkOf(tenant, day, file.Key) != file.Value)))
            made = null;
        var readings = retention?.Readings(tenant);
        var left = readings is { } age ? (day * Day) + (long)age.TotalMicroseconds - time.Now() : long.MaxValue;
        // Once the day's first hours have left the archive, its cells could only be made anew from less.
        if (made is not null && left <= 0)
            return;
        if (!IsDue(made, day, files, all, isLast: left <= Day))
            return;

        try
        {
            Make(tenant, day, made, held, cancel);
        }
        catch (InvalidDataException fault)
        {
            RollupLog.FileUnreadable(logger, fault.Message);
            File.Delete(PathOf(tenant, day)); // Made anew the next time.
        }
    }

    private bool IsDue(DayMeta? made, long day, List<ArchivedFile> files, bool all, bool isLast)
    {
        var until = made is null ? 0 : PositionVector.Parse(made.Position).Total;
        var rows = files.Where(file => file.To > until).Sum(file => file.Rows);
        if (all || rows == 0 || isLast)
            return rows > 0;

        var isOver = time.Now() > (day + 1) * Day + Late;
        return isOver ? made is null || rows > made.Rows / 20 : rows >= Math.Max(RowsMin, (made?.Rows ?? 0) / 2);
    }

    private void Make(ushort tenant, long day, DayMeta? made, PositionVector held, CancellationToken cancel)
    {
        var since = made is null ? null : PositionVector.Parse(made.Position);
        var rows = made?.Rows ?? 0;
        using var old = made is null ? null : Open(tenant, day);
        using var files = archive.OpenDayFiles(tenant, day, file => since is null || file.To > since.Total);
        var skipped = new Dictionary<string, string>(made?.Skipped ?? [], StringComparer.Ordinal);
        void Skip(string name) => skipped[name] = MarkOf(tenant, day, name);
        files.Unread.ForEach(Skip);
        List<IEnumerable<(byte[] Key, List<FieldCells> Fields)>> sources = [.. files.Readers.Select((file, i) => UntilDamaged(
            Series(file, day, since, held, () => rows++, cancel), fault =>
            {
                RollupLog.FileUnreadable(logger, fault);
                Skip(files.Names[i]);
            }))];
        if (old is not null)
            sources.Insert(0, old.All());

        using var writer = new CellFileWriter(PathOf(tenant, day), LocalBuckets.QuarterHour, day * Day, withPlaces: false);
        foreach (var (key, fields) in CellMerge.Merge(sources))
            writer.Add(DeviceIds.Hash(tenant, key), key, fields);
        writer.Complete(JsonSerializer.SerializeToUtf8Bytes(new DayMeta(held.ToString(), rows, skipped), DayMetaJson.Default.DayMeta));
    }

    /// <summary>What is to be read of a file that is damaged in the middle: up to there.</summary>
    private static IEnumerable<(byte[] Key, List<FieldCells> Fields)> UntilDamaged(
        IEnumerable<(byte[] Key, List<FieldCells> Fields)> series, Action<string> report)
    {
        using var from = series.GetEnumerator();
        while (true)
        {
            try
            {
                if (!from.MoveNext())
                    yield break;
            }
            catch (ParquetFormatException fault)
            {
                report(fault.Message);
                yield break;
            }

            yield return from.Current;
        }
    }

    /// <summary>Changes when a file comes back whole; empty when it is not there.</summary>
    private string MarkOf(ushort tenant, long day, string name) => archive.MarkOf(tenant, day, name) ?? "";

    private static bool EraseFrom(string path, ushort tenant, byte[] id)
    {
        using var file = new CellFileReader(path);
        if (file.Find(DeviceIds.Hash(tenant, id), id, null).Count == 0)
            return false;

        using var writer = new CellFileWriter(path, LocalBuckets.QuarterHour, file.BaseTime, withPlaces: false);
        foreach (var (key, fields) in file.All())
        {
            if (!key.AsSpan().SequenceEqual(id))
                writer.Add(DeviceIds.Hash(tenant, key), key, fields);
        }

        writer.Complete(file.Meta);
        return true;
    }

    /// <summary>Whether a day's quarter-hours have an age of their own and are older.</summary>
    private bool IsPast(ushort tenant, long day) =>
        retention?.QuarterHours(tenant) is { } age && (day + 1) * Day + (long)age.TotalMicroseconds <= time.Now();

    private void DeleteBut(HashSet<string> kept)
    {
        foreach (var path in Files("").Where(path => !kept.Contains(path) && !OutlivesReadings(path)))
            File.Delete(path);
    }

    /// <summary>Whether the quarter-hours of a day that the archive has no more are kept for an age of their own, which they have not reached.</summary>
    private bool OutlivesReadings(string path) =>
        ushort.TryParse(Path.GetFileName(Path.GetDirectoryName(path)).AsSpan("tenant=".Length), CultureInfo.InvariantCulture, out var tenant)
        && retention?.QuarterHours(tenant) is not null
        && DateOnly.TryParseExact(Path.GetFileNameWithoutExtension(path).AsSpan("date=".Length), "yyyy-MM-dd", CultureInfo.InvariantCulture, DateTimeStyles.None, out var date)
        && !IsPast(tenant, date.DayNumber - DateOnly.FromDateTime(DateTime.UnixEpoch).DayNumber);

    private List<string> Files(string folder)
    {
        var path = Path.Combine(root, folder);
        return Directory.Exists(path) ? [.. Directory.EnumerateFiles(path, "*.cells", SearchOption.AllDirectories)] : [];
    }

    /// <summary>The cells of a file of the archive, device by device.</summary>
    private static IEnumerable<(byte[] Key, List<FieldCells> Fields)> Series(
        ParquetReader file, long day, PositionVector? since, PositionVector until, Action count, CancellationToken cancel)
    {
        var fields = new NumericFields();
        var scan = new NumberScan(file, fields, null, []);
        var cells = new DeviceCells(LocalBuckets.QuarterHour);
        var numbers = new List<(int Field, double Value)>();
        byte[] device = [];
        while (scan.Read())
        {
            cancel.ThrowIfCancellationRequested();
            for (var row = 0; row < scan.RowCount; row++)
            {
                var (partition, sequence) = (scan.Partition(row), scan.Sequence(row));
                if (sequence < since?[partition] || sequence >= until[partition])
                    continue;

                count();
                if (!scan.Device(row).SequenceEqual(device))
                {
                    if (cells.Take(fields) is { Count: > 0 } done)
                        yield return (device, done);
                    device = scan.Device(row).ToArray();
                }

                // Also readings of broken clocks lie here, which no trend counts.
                if (scan.Time(row) < day * Day || scan.Time(row) >= (day + 1) * Day)
                    continue;
                numbers.Clear();
                scan.Numbers(row, numbers);
                foreach (var (field, value) in numbers)
                    cells.Add(field, new Sample(scan.Time(row), partition, sequence, value));
            }
        }

        if (cells.Take(fields) is { Count: > 0 } last)
            yield return (device, last);
    }

    private DayMeta? ReadMeta(ushort tenant, long day)
    {
        try
        {
            using var file = Open(tenant, day);
            return file is null ? null : MetaOf(file);
        }
        catch (InvalidDataException fault)
        {
            RollupLog.FileUnreadable(logger, fault.Message);
            return null; // Made anew from the archive.
        }
    }

    private static DayMeta MetaOf(CellFileReader file) => JsonSerializer.Deserialize(file.Meta, DayMetaJson.Default.DayMeta)!;

    private CellFileReader? Open(ushort tenant, long day)
    {
        try
        {
            return new CellFileReader(PathOf(tenant, day));
        }
        catch (Exception fault) when (fault is FileNotFoundException or DirectoryNotFoundException)
        {
            return null;
        }
    }

    private string PathOf(ushort tenant, long day) =>
        Path.Combine(root, $"tenant={tenant}", $"date={Micros.ToDateTime(day * Day):yyyy-MM-dd}.cells");
}
