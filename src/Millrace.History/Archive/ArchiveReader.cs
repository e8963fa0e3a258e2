using System.Collections.Concurrent;
using System.Runtime.ExceptionServices;
using Millrace.Core;
using Millrace.History.Queries;
using Millrace.Parquet;

namespace Millrace.History.Archive;

/// <summary>
/// Reads the history by its manifests, also while a server writes and merges it. A file that is missing or damaged is told to
/// <paramref name="report"/>, and the others are served.
/// </summary>
/// <param name="store">Where the files lie.</param>
/// <param name="report">Told what could not be read, in words for people.</param>
/// <param name="options">How much memory and temporary space a replay may take; defaults when null.</param>
public sealed class ArchiveReader(IHistoryStore store, Action<string>? report = null, ArchiveReaderOptions? options = null) : IReadingHistory
{
    /// <summary>A file may be merged away between reading the manifest and opening it; then the manifest is read again.</summary>
    private const int Attempts = 5;

    private readonly ArchiveReaderOptions _options = options ?? new ArchiveReaderOptions();
    private readonly ConcurrentDictionary<string, (string? Mark, DayManifest Manifest)> _manifests = new(StringComparer.Ordinal);
    private readonly FooterCache _footers = new((options ?? new ArchiveReaderOptions()).FooterBytesMax);

    /// <param name="root">The folder of the history.</param>
    /// <param name="report">Told what could not be read, in words for people.</param>
    /// <param name="options">How much memory and temporary space a replay may take; defaults when null.</param>
    public ArchiveReader(string root, Action<string>? report = null, ArchiveReaderOptions? options = null)
        : this(new LocalHistoryStore(root), report, options)
    {
    }

    public PositionVector? Held
    {
        get
        {
            if (ArchiveFolder.ReadState(store) is not { } state)
                return null;

            // What is committed and not yet in its day's manifest is read from the log until it is.
            var isDone = state.Pending.TrueForAll(change => change.Add is null || ManifestOf(change.Folder).Files.Exists(file => file.Name == change.Add.Name));
            return PositionVector.Parse(isDone || state.Before is null ? state.Position : state.Before);
        }
    }

    public IEnumerable<PastReading> Replay(ReplayRange range, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(range);
        // A commit shows in the days one after the other; up to what is held all of them are whole.
        var until = Held;
        for (var p = 0; p < Math.Min(until?.Count ?? 0, range.Until?.Count ?? 0); p++)
            until![p] = Math.Min(until[p], range.Until![p]);
        range = range with { Until = until ?? range.Until };

        var tenants = range.Tenant is { } only ? [only] : ArchiveFolder.Tenants(store).ToList();
        using var sorters = new Sorters(_options);
        foreach (var (from, to) in Rounds(tenants, range))
        {
            Collect(tenants, range with { From = from, To = to }, sorters, cancel);
            foreach (var reading in ReplaySorter.Merge(sorters.All))
                yield return reading;
        }
    }

    /// <summary>One device's readings with from ≤ time &lt; to, in order of time.</summary>
    /// <param name="budget">When it is spent, no further day is opened.</param>
    public IEnumerable<ArchivedReading> ReadDevice(ushort tenant, string device, long from, long to, ReadBudget? budget = null)
    {
        ArgumentNullException.ThrowIfNull(device);
        var id = System.Text.Encoding.UTF8.GetBytes(device);
        // A day also holds the readings of broken clocks, far older than itself: it is opened when the turn of its oldest reading has come.
        var days = ArchiveFolder.DaysOf(store, tenant).Select(day => (Day: day, Start: StartOf(day, from, to))).Where(day => day.Start is not null)
            .OrderBy(day => day.Start).ToList();
        var open = new PriorityQueue<List<ArchivedReading>.Enumerator, ArchivedReading>(ReadingOrder.ByTime);
        var next = 0;
        while (next < days.Count || open.Count > 0)
        {
            if (next < days.Count && (!open.TryPeek(out _, out var first) || days[next].Start <= first.Time))
            {
                // The first day is read in any case, so that whoever asks again gets on.
                if (next > 0 && budget is { IsSpent: true } && days[next].Start >= budget.AtLeastUntil)
                {
                    budget.Stop(days[next].Start!.Value);
                    yield break;
                }

                Enqueue(open, ReadDay(days[next++].Day, tenant, device, id, from, to).GetEnumerator());
                continue;
            }

            var readings = open.Dequeue();
            yield return readings.Current;
            Enqueue(open, readings);
        }
    }

    private static void Enqueue(
        PriorityQueue<List<ArchivedReading>.Enumerator, ArchivedReading> open, List<ArchivedReading>.Enumerator readings)
    {
        if (readings.MoveNext())
            open.Enqueue(readings, readings.Current);
    }

    /// <summary>Where the wanted readings of a day can begin; null when there are none.</summary>
    private long? StartOf(string day, long from, long to)
    {
        long? start = null;
        foreach (var file in ManifestOf(day).Files)
        {
            if (file.TimeMax >= from && file.TimeMin < to)
                start = Math.Min(start ?? long.MaxValue, Math.Max(from, file.TimeMin));
        }

        return start;
    }

    private List<ArchivedReading> ReadDay(string day, ushort tenant, string device, ReadOnlySpan<byte> id, long from, long to)
    {
        using var files = OpenDay(day, file => file.TimeMax >= from && file.TimeMin < to);
        var readings = new List<ArchivedReading>();
        foreach (var file in files.Readers)
            CollectDevice(file, tenant, device, id, from, to, readings);

        readings.Sort(ReadingOrder.ByTime);
        return readings;
    }

    /// <summary>
    /// The range in pieces that hold about so many readings each, were the readings of a file spread evenly over its arrivals: it bounds the
    /// temporary space, not the memory.
    /// </summary>
    private List<(long From, long To)> Rounds(List<ushort> tenants, ReplayRange range)
    {
        var files = tenants.SelectMany(tenant => ArchiveFolder.DaysOf(store, tenant)).SelectMany(day => ManifestOf(day).Files)
            .Where(file => file.ReceivedMax >= range.From && file.ReceivedMin < range.To).ToList();
        var rounds = new List<(long, long)>();
        if (files.Count == 0)
            return rounds;

        var changes = files
            .SelectMany(file => new[] { (At: file.ReceivedMin, Density: Density(file)), (At: file.ReceivedMax + 1, Density: -Density(file)) })
            .OrderBy(change => change.At).ToList();
        var (start, rows, density) = (Math.Max(range.From, changes[0].At), 0.0, 0.0);
        for (var i = 0; i + 1 < changes.Count; i++)
        {
            density = Math.Max(0, density + changes[i].Density);
            var (at, end) = (Math.Max(start, changes[i].At), changes[i + 1].At);
            while (rows + density * (end - at) > _options.RoundRows && density > 0)
            {
                var cut = at + Math.Max(1, (long)((_options.RoundRows - rows) / density));
                rounds.Add((start, cut));
                (start, at, rows) = (cut, cut, 0);
            }

            rows += density * Math.Max(0, end - at);
        }

        rounds.Add((start, long.MaxValue));
        return [.. rounds.Select(round => (round.Item1, Math.Min(round.Item2, range.To))).Where(round => round.Item1 < round.Item2)];
    }

    private static double Density(ArchivedFile file) => file.Rows / (double)(file.ReceivedMax - file.ReceivedMin + 1);

    private void CollectDevice(
        ParquetReader file, ushort tenant, string device, ReadOnlySpan<byte> id, long from, long to, List<ArchivedReading> readings)
    {
        try
        {
            var unit = HistoryFileWriter.UnitOf(file.Columns[HistoryFileWriter.Time]);
            var scan = file.Scan(new ParquetScanOptions
            {
                Filters = [ParquetFilter.Equal("device", device), HistoryFileWriter.TimeFilter(file, from, to)],
            });
            var json = new RowJson(scan);
            var view = new System.Buffers.ArrayBufferWriter<byte>(512);
            while (scan.Read())
            {
                var devices = scan[HistoryFileWriter.Device];
                var times = scan[HistoryFileWriter.Time].Int64s;
                for (var row = 0; row < scan.RowCount; row++)
                {
                    var time = times[row] * unit;
                    if (time < from || time >= to || !devices.Bytes(row).SequenceEqual(id))
                        continue;
                    view.ResetWrittenCount();
                    json.Write(row, view);
                    readings.Add(new ArchivedReading(
                        tenant, device, time, scan[HistoryFileWriter.ReceivedAt].Int64s[row],
                        (int)scan[HistoryFileWriter.Partition].Int64s[row], scan[HistoryFileWriter.Sequence].Int64s[row], view.WrittenSpan.ToArray()));
                }
            }
        }
        catch (ParquetFormatException fault)
        {
            report?.Invoke(fault.Message);
        }
    }

    /// <summary>Takes up the readings of a round, row groups side by side.</summary>
    private void Collect(List<ushort> tenants, ReplayRange range, Sorters sorters, CancellationToken cancel)
    {
        foreach (var tenant in tenants)
        {
            foreach (var day in ArchiveFolder.DaysOf(store, tenant))
            {
                using var files = OpenDay(day, file => file.ReceivedMax >= range.From && file.ReceivedMin < range.To);
                var groups = files.Readers.Select(reader => new ReplayFile(reader, tenant, range)).SelectMany(file => file.Groups.Select(group => (File: file, Group: group)));
                sorters.Run(groups, (next, sorter) => Guard(() => next.File.Collect(next.Group, sorter, cancel)), cancel);
            }
        }

        sorters.Sort(cancel);
    }

    private DayManifest ManifestOf(string day)
    {
        var mark = ArchiveFolder.ManifestMark(store, day);
        if (_manifests.TryGetValue(day, out var known) && known.Mark == mark)
            return known.Manifest;

        DayManifest? manifest = null;
        try
        {
            manifest = ArchiveFolder.ReadManifest(store, day);
        }
        catch (Exception fault) when (fault is InvalidDataException or NotSupportedException)
        {
            report?.Invoke($"{fault.Message} Its day is not served; the server makes it again when it starts.");
        }

        manifest ??= new DayManifest(1, []);
        _manifests[day] = (mark, manifest);
        return manifest;
    }

    /// <summary>Opens a day's files at once: opened they stay readable, also when a merge takes them away.</summary>
    private OpenFiles OpenDay(string day, Func<ArchivedFile, bool> isWanted)
    {
        for (var attempt = 1; ; attempt++)
        {
            var open = new OpenFiles();
            var gone = false;
            foreach (var file in ManifestOf(day).Files.Where(isWanted))
            {
                try
                {
                    open.Readers.Add(Open(day, file));
                    open.Names.Add(file.Name);
                }
                catch (ParquetFormatException fault)
                {
                    open.Unread.Add(file.Name);
                    report?.Invoke(fault.Message);
                }
                catch (FileNotFoundException) when (attempt < Attempts)
                {
                    _manifests.TryRemove(day, out _);
                    gone = true;
                    break;
                }
                catch (FileNotFoundException fault)
                {
                    open.Unread.Add(file.Name);
                    report?.Invoke(fault.Message);
                }
            }

            if (!gone)
                return open;
            open.Dispose();
        }
    }

    /// <summary>A file of a name never changes, so that its footer is read once.</summary>
    private ParquetReader Open(string day, ArchivedFile file)
    {
        var name = $"{day}/{file.Name}";
        if (_footers.Find(name, file.Bytes) is { } known)
            return known.Reopen(store.Open(name));

        var reader = HistoryFile.Open(store, name);
        _footers.Keep(name, file.Bytes, reader);
        return reader;
    }

    /// <summary>Every day of every tenant with its files, by the manifests; a day is its number since 1970.</summary>
    internal IEnumerable<(ushort Tenant, long Day, List<ArchivedFile> Files)> DayFiles()
    {
        foreach (var tenant in ArchiveFolder.Tenants(store))
        {
            foreach (var folder in ArchiveFolder.DaysOf(store, tenant))
            {
                var date = DateOnly.ParseExact(folder.AsSpan(folder.Length - 10), "yyyy-MM-dd", System.Globalization.CultureInfo.InvariantCulture);
                yield return (tenant, date.DayNumber - DateOnly.FromDateTime(DateTime.UnixEpoch).DayNumber, ManifestOf(folder).Files);
            }
        }
    }

    /// <summary>Opens the files of one day.</summary>
    internal OpenFiles OpenDayFiles(ushort tenant, long day, Func<ArchivedFile, bool> isWanted) =>
        OpenDay(ArchiveFolder.FolderOf(tenant, DateTime.UnixEpoch.AddDays(day)), isWanted);

    /// <summary>Something that changes when a file of the day does; null when it is not there.</summary>
    internal string? MarkOf(ushort tenant, long day, string name) => store.MarkOf($"{ArchiveFolder.FolderOf(tenant, DateTime.UnixEpoch.AddDays(day))}/{name}");

    /// <summary>Reads a file; when it is damaged, that is reported and what was read stands.</summary>
    internal void Guard(Action read)
    {
        try
        {
            read();
        }
        catch (ParquetFormatException fault)
        {
            report?.Invoke(fault.Message);
        }
    }

    /// <summary>One sorter for each thread that takes readings up.</summary>
    private sealed class Sorters(ArchiveReaderOptions options) : IDisposable
    {
        private readonly ConcurrentBag<ReplaySorter> _all = [];

        public IReadOnlyCollection<ReplaySorter> All => _all;

        public void Run<T>(IEnumerable<T> parts, Action<T, ReplaySorter> take, CancellationToken cancel)
        {
            // As many are lent at once as there are threads, and each is given back.
            try
            {
                Parallel.ForEach(
                    Partitioner.Create(parts, EnumerablePartitionerOptions.NoBuffering),
                    new ParallelOptions { MaxDegreeOfParallelism = options.Threads, CancellationToken = cancel },
                    () => _all.TryTake(out var sorter) ? sorter : new ReplaySorter(options.SortBytesMax / options.Threads, options.TemporaryFolder),
                    (part, _, sorter) =>
                    {
                        take(part, sorter);
                        return sorter;
                    },
                    _all.Add);
            }
            catch (AggregateException failures)
            {
                ExceptionDispatchInfo.Throw(failures.InnerExceptions[0]);
            }
        }

        public void Sort(CancellationToken cancel) =>
            Parallel.ForEach(_all.ToArray(), new ParallelOptions { MaxDegreeOfParallelism = options.Threads, CancellationToken = cancel }, sorter => sorter.Sort());

        public void Dispose()
        {
            foreach (var sorter in _all)
                sorter.Dispose();
        }
    }

    internal sealed class OpenFiles : IDisposable
    {
        public List<ParquetReader> Readers { get; } = [];

        /// <summary>The readers' files, below the day's folder.</summary>
        public List<string> Names { get; } = [];

        /// <summary>Files that are missing or damaged.</summary>
        public List<string> Unread { get; } = [];

        public void Dispose() => Readers.ForEach(reader => reader.Dispose());
    }
}
