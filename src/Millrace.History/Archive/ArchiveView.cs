using System.Text;
using Microsoft.Extensions.Logging;
using Millrace.Core;
using Millrace.Parquet;

namespace Millrace.History.Archive;

/// <summary>
/// The view of the log that keeps every reading as Parquet (docs/formats/history.md). Its position is committed together with its files,
/// so a crash costs a re-read and no reading stands in the history twice. Files are merged and erased from beside; who commits holds the gate.
/// </summary>
public sealed class ArchiveView(IHistoryStore store, ArchiveOptions options, ILogger logger, TimeProvider? time = null) : IReadingView, IReadingEraser
{
    private const long HourMicros = 3600 * Micros.PerSecond;

    /// <summary>How often the days are looked through for hours that have become quiet; a commit has them looked through at once.</summary>
    private const long LookEvery = 10 * Micros.PerSecond;

    /// <summary>How often files past their retention are looked for.</summary>
    private const long RetentionEvery = 10 * Micros.PerMinute;

    private readonly Lock _gate = new();
    private readonly Lock _oneEraser = new();
    private readonly TimeProvider _time = time ?? TimeProvider.System;
    private readonly RowBuffer _buffer = new(options.SkewDaysMax);
    private readonly HashSet<string> _unmergeable = new(StringComparer.Ordinal);
    private readonly HashSet<ushort> _full = [];
    private IReadingLog? _log;
    private ArchiveFolder? _folder;
    private PositionVector _position = new(0);
    private RunningMerge? _merging;
    private bool _isErasing;
    private long _mergeAfter;
    private long _lookAfter;
    private long _retainAfter;

    /// <param name="root">A local folder for the files.</param>
    /// <param name="options">How they are written.</param>
    /// <param name="logger">Told what goes wrong.</param>
    public ArchiveView(string root, ArchiveOptions options, ILogger logger)
        : this(new LocalHistoryStore(root), options, logger)
    {
    }

    public string Name => "archive";

    /// <summary>Readings in files, by the manifests.</summary>
    public long RowCount
    {
        get
        {
            lock (_gate)
                return _folder?.Days.Values.Sum(day => day.Files.Sum(file => file.Rows)) ?? 0;
        }
    }

    public ValueTask<PositionVector> OpenAsync(IReadingLog log, CancellationToken cancel)
    {
        ArgumentNullException.ThrowIfNull(log);
        lock (_gate)
        {
            _log = log;
            AbandonMerge();
            _buffer.Reset();
            _lookAfter = 0;
            _folder = ArchiveFolder.Open(store, options.Declared);
            foreach (var day in _folder.Mended)
                ArchiveLog.ManifestMended(logger, $"{store.Name}/{day}", _folder.Days[day].Files.Count);
            foreach (var name in _folder.Missing)
                ArchiveLog.FileMissing(logger, $"{store.Name}/{name}");

            var position = _folder.Position ?? log.Oldest.Copy();
            if (position.Count != log.PartitionCount)
                throw new InvalidDataException($"{store.Name} belongs to a log of {position.Count} partitions; this one has {log.PartitionCount}.");

            _position = position.Copy();
            return new(position.Copy());
        }
    }

    public ValueTask ApplyAsync(LogBlock block, CancellationToken cancel)
    {
        ArgumentNullException.ThrowIfNull(block);
        lock (_gate)
        {
            var folder = Folder();
            block = block.From(_position[block.Partition]);
            if (block.Count == 0)
                return default;

            foreach (var record in block)
            {
                if (!record.IsForOneJob && (folder.Erased.Count == 0 || !IsErased(folder, record, block.Partition)))
                    _buffer.Add(record, block.Partition, folder.ColumnsOf);
            }

            _position[block.Partition] = block.NextSequence;
            if (_buffer.Count >= options.BufferRows || _buffer.ByteCount >= options.BufferBytes)
                Flush(cancel);
            return default;
        }
    }

    /// <summary>At the tail there is time to merge: one hour's files at a time, beside.</summary>
    public ValueTask IdleAsync(CancellationToken cancel)
    {
        lock (_gate)
        {
            Retain();
            if (_merging is { Work.IsCompleted: true })
                EndMerge();
            if (_merging is null && _time.Now() >= _lookAfter)
                BeginMerge();
        }

        return default;
    }

    public ValueTask CheckpointAsync(PositionVector position, CancellationToken cancel)
    {
        lock (_gate)
        {
            Flush(cancel);
            if (_merging is { Work.IsCompleted: true })
                EndMerge();
        }

        return default;
    }

    public void OnLost(LostRange lost)
    {
        ArgumentNullException.ThrowIfNull(lost);
        ArchiveLog.Lost(logger, lost.Partition, lost.From, lost.To);
        lock (_gate)
            _position[lost.Partition] = Math.Max(_position[lost.Partition], lost.To);
    }

    public Task<ErasedReadings> EraseAsync(ushort tenant, string device, CancellationToken cancel)
    {
        ArgumentException.ThrowIfNullOrEmpty(device);
        return Task.Run(
            () =>
            {
                lock (_oneEraser)
                    return Erase(tenant, device, cancel);
            },
            cancel);
    }

    /// <summary>Merges the files of one hour where there are enough, and waits for it; false when there is nothing to merge.</summary>
    public bool MergeOne()
    {
        lock (_gate)
        {
            if (_merging is null)
                BeginMerge();
            if (_merging is null)
                return false;

            ((IAsyncResult)_merging.Work).AsyncWaitHandle.WaitOne();
            EndMerge();
            return true;
        }
    }

    private ArchiveFolder Folder() => _folder ?? throw new InvalidOperationException("The archive is not open, or broke off while it committed; the view opens it again.");

    /// <summary>
    /// A commit that breaks off is finished by opening the folder again, and by nothing else: it may be on the disk and not in memory. Whichever thread
    /// it broke off on, the view's next call finds the archive closed and starts over.
    /// </summary>
    private void Commit(PositionVector position, List<PendingChange> changes)
    {
        var folder = Folder();
        _folder = null;
        folder.Commit(position, changes);
        _folder = folder;
    }

    private static bool IsErased(ArchiveFolder folder, in ReadingRecord record, int partition)
    {
        foreach (var erased in folder.Erased)
        {
            if (erased.Covers(record, partition))
                return true;
        }

        return false;
    }

    /// <summary>Writes the files that hold the device again, one after the other and beside what comes in, then searches all of them once more.</summary>
    private ErasedReadings Erase(ushort tenant, string device, CancellationToken cancel)
    {
        var id = Encoding.UTF8.GetBytes(device);
        List<(string Day, ArchivedFile File)> files;
        lock (_gate)
        {
            var folder = Folder();
            // Kept with the position, so that a crash does not let in what the log still has.
            folder.Erased.RemoveAll(erased => erased.Tenant == tenant && erased.Device == device);
            folder.Erased.Add(new ErasedDevice(tenant, device, _log!.Durable.ToString()));
            Flush(cancel, isForced: true);
            AbandonMerge();
            _isErasing = true;
            files = FilesOf(tenant);
        }

        try
        {
            var (readings, written) = (0L, 0);
            foreach (var (day, file) in files)
            {
                cancel.ThrowIfCancellationRequested();
                try
                {
                    if (CountDevice($"{day}/{file.Name}", device, id) == 0)
                        continue;
                    readings += WriteWithout(day, file, id);
                    written++;
                }
                catch (Exception damaged) when (damaged is ParquetFormatException or InvalidDataException)
                {
                    // It is met again below, and told; the others are still to be done.
                }
            }

            lock (_gate)
                files = FilesOf(tenant);
            var (remaining, unread) = CountAll(files, device, id);
            ArchiveLog.Erased(logger, device, tenant, readings, written, remaining);
            return new ErasedReadings(readings, written, remaining, _time.Now() + (long)options.LogRetention.TotalMicroseconds, unread);
        }
        finally
        {
            lock (_gate)
                _isErasing = false;
        }
    }

    private (long Remaining, List<string> Unread) CountAll(List<(string Day, ArchivedFile File)> files, string device, ReadOnlySpan<byte> id)
    {
        var (remaining, unread) = (0L, new List<string>());
        foreach (var (day, file) in files)
        {
            try
            {
                remaining += CountDevice($"{day}/{file.Name}", device, id);
            }
            catch (ParquetFormatException fault)
            {
                unread.Add($"{day}/{file.Name}");
                ArchiveLog.NotErased(logger, device, $"{day}/{file.Name}", fault.Message);
            }
        }

        return (remaining, unread);
    }

    private List<(string Day, ArchivedFile File)> FilesOf(ushort tenant) =>
        [.. Folder().Days.Where(day => day.Key.StartsWith($"tenant={tenant}/", StringComparison.Ordinal)).SelectMany(day => day.Value.Files.Select(file => (day.Key, file)))];

    /// <exception cref="ParquetFormatException">The file is damaged: what it holds cannot be told, and erasing must not say otherwise.</exception>
    private long CountDevice(string name, string device, ReadOnlySpan<byte> id)
    {
        using var reader = OpenUnlessGone(name);
        if (reader is null)
            return 0;

        var scan = reader.Scan(new ParquetScanOptions { Columns = ["device"], Filters = [ParquetFilter.Equal("device", device)] });
        long count = 0;
        while (scan.Read())
        {
            for (var row = 0; row < scan.RowCount; row++)
                count += scan[0].Bytes(row).SequenceEqual(id) ? 1 : 0;
        }

        return count;
    }

    private ParquetReader? OpenUnlessGone(string name)
    {
        try
        {
            return HistoryFile.Open(store, name);
        }
        catch (FileNotFoundException)
        {
            return null;
        }
    }

    private long WriteWithout(string day, ArchivedFile file, byte[] id)
    {
        var without = ArchiveMerge.Merge(store, day, [file], GzipLevelOf(file.Rows), () => false, id);
        lock (_gate)
        {
            if (without.Rows > 0)
                Stage(day, without);
            else
                Discard(day, without);
            Commit(Folder().Position!, [new PendingChange(day, without.Rows > 0 ? without : null, [file.Name])]);
        }

        return file.Rows - without.Rows;
    }

    /// <summary>Takes away the files whose whole hour is past its retention.</summary>
    private void Retain()
    {
        var now = _time.Now();
        if (options.Retention is null || _isErasing || now < _retainAfter)
            return;

        _retainAfter = now + RetentionEvery;
        var changes = new List<PendingChange>();
        foreach (var (day, manifest) in Folder().Days)
        {
            if (options.Retention(ArchiveFolder.TenantOf(day)) is not { } age)
                continue;
            var old = manifest.Files.FindAll(file => ArchiveFolder.StartOf(day, file) + HourMicros <= now - (long)age.TotalMicroseconds);
            if (old.Count > 0)
                changes.Add(new PendingChange(day, null, old.ConvertAll(file => file.Name)));
        }

        if (changes.Count == 0)
            return;

        AbandonMerge();
        Commit(Folder().Position!, changes);
        ArchiveLog.Retained(logger, changes.Sum(change => change.Remove.Count), changes.Count);
    }

    private void BeginMerge()
    {
        var now = _time.Now();
        if (now < _mergeAfter || _isErasing)
            return;

        foreach (var (day, manifest) in Folder().Days)
        {
            var files = ArchiveMerge.Choose(manifest.Files, options, now, file => !_unmergeable.Contains($"{day}/{file.Name}"));
            if (files.Count == 0)
                continue;

            var level = GzipLevelOf(files.Sum(file => file.Rows));
            _merging = new RunningMerge(day, files, isAbandoned => ArchiveMerge.Merge(store, day, files, level, isAbandoned));
            return;
        }

        _lookAfter = now + LookEvery;
    }

    private int GzipLevelOf(long rows) => rows <= options.BestGzipRows ? 9 : options.MergedGzipLevel;

    /// <summary>Commits what was merged beside.</summary>
    private void EndMerge()
    {
        var (merge, folder) = (_merging!, Folder());
        _merging = null;
        try
        {
            var merged = merge.Work.GetAwaiter().GetResult();
            Stage(merge.Day, merged);
            Commit(folder.Position!, [new PendingChange(merge.Day, merged, merge.Files.ConvertAll(file => file.Name))]);
        }
        catch (Exception fault) when (fault is ParquetFormatException or FileNotFoundException or InvalidDataException)
        {
            SetAside(merge, fault);
        }
        catch (IOException fault) when (merge.Work.IsFaulted)
        {
            // A full disk, or a store that is away: what is there is as good unmerged.
            _mergeAfter = _time.Now() + Micros.PerMinute;
            ArchiveLog.MergeLater(logger, merge.Day, fault.Message);
        }
    }

    /// <summary>A damaged or missing file must not stop the others: it stays as it is, and the good ones are merged without it.</summary>
    private void SetAside(RunningMerge merge, Exception fault)
    {
        var bad = merge.Files.FindAll(file => !IsReadable($"{merge.Day}/{file.Name}"));
        foreach (var file in bad.Count > 0 ? bad : merge.Files)
            _unmergeable.Add($"{merge.Day}/{file.Name}");
        ArchiveLog.NotMerged(logger, merge.Day, fault.Message);
    }

    private bool IsReadable(string name)
    {
        try
        {
            using var reader = HistoryFile.Open(store, name);
            var scan = reader.Scan();
            while (scan.Read())
            {
            }

            return true;
        }
        catch (Exception fault) when (fault is ParquetFormatException or FileNotFoundException)
        {
            return false;
        }
    }

    private void AbandonMerge()
    {
        if (_merging is { } merge && merge.Abandon() is { } merged)
            Discard(merge.Day, merged);
        _merging = null;
    }

    private void Stage(string day, ArchivedFile file)
    {
        try
        {
            store.Stage($"{day}/{file.Name}");
        }
        catch
        {
            Discard(day, file);
            throw;
        }
    }

    /// <summary>Deletes what was written and will not be committed: it may hold what is being erased.</summary>
    private void Discard(string day, ArchivedFile file) => File.Delete(store.NewFile($"{day}/{file.Name}"));

    /// <summary>Writes what is buffered and commits it with the position that the buffer reaches to.</summary>
    private void Flush(CancellationToken cancel, bool isForced = false)
    {
        var folder = Folder();
        if (!isForced && _buffer.Count == 0 && folder.Position is { } committed && committed.Equals(_position))
            return;

        var (from, to) = (folder.Position?.Total ?? 0, _position.Total);
        var changes = new List<PendingChange>();
        try
        {
            foreach (var (tenant, hour, rows) in _buffer.Sorted())
            {
                cancel.ThrowIfCancellationRequested();
                changes.Add(WriteHour(folder, tenant, hour, rows.Span, from, to));
            }
        }
        catch
        {
            changes.ForEach(change => Discard(change.Folder, change.Add!));
            throw;
        }

        Commit(_position, changes);
        _buffer.Clear();
        _lookAfter = 0;
    }

    private PendingChange WriteHour(ArchiveFolder folder, ushort tenant, int hour, ReadOnlySpan<int> rows, long from, long to)
    {
        var columns = folder.ColumnsOf(tenant);
        if (columns.Refused > 0 && _full.Add(tenant))
            ArchiveLog.FieldsFull(logger, tenant, ColumnSet.ColumnsMax);

        var at = Micros.ToDateTime(hour * HourMicros);
        var (day, hourName) = (ArchiveFolder.FolderOf(tenant, at), $"hour={at:HH}");
        var name = $"{day}/{ArchivedFile.NameOf(hourName, 0, from, to)}";
        var used = new bool[columns.Columns.Count];
        var isMillis = true;
        foreach (var row in rows)
        {
            isMillis &= _buffer[row].Time % 1000 == 0;
            foreach (ref readonly var cell in _buffer.Cells.Cells(_buffer[row].CellStart, _buffer[row].CellEnd))
            {
                if (cell.Column >= 0)
                    used[cell.Column] = true;
            }
        }

        using var writer = new HistoryFileWriter(
            store.NewFile(name), $"{day}/{hourName}", columns.Columns.Where((_, i) => used[i]), isMillis, FileEffort.First, options.FirstGzipLevel);
        var places = columns.Columns.Select((column, i) => used[i] ? writer.PlaceOf(column.Name) : -1).ToArray();
        foreach (var row in rows)
        {
            ref readonly var reading = ref _buffer[row];
            writer.Begin(_buffer.Id(row), reading.Time, reading.ReceivedAt, reading.Partition, reading.Sequence);
            foreach (ref readonly var cell in _buffer.Cells.Cells(reading.CellStart, reading.CellEnd))
                writer.Add(cell, _buffer.Cells, places);
            writer.AddRest(_buffer.Rest(row));
            writer.End();
        }

        var file = writer.Complete(hourName, 0, from, to);
        writer.Dispose();
        Stage(day, file);
        return new PendingChange(day, file, []);
    }

    /// <summary>A merge that runs on a thread of its own: it may take seconds, and readings come in meanwhile.</summary>
    private sealed class RunningMerge
    {
        private volatile bool _isAbandoned;

        public RunningMerge(string day, List<ArchivedFile> files, Func<Func<bool>, ArchivedFile> merge)
        {
            (Day, Files) = (day, files);
            Work = Task.Factory.StartNew(
                () => merge(() => _isAbandoned), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
        }

        public string Day { get; }

        public List<ArchivedFile> Files { get; }

        public Task<ArchivedFile> Work { get; }

        /// <summary>Ends it, soon; gives what it had written whole already.</summary>
        public ArchivedFile? Abandon()
        {
            _isAbandoned = true;
            ((IAsyncResult)Work).AsyncWaitHandle.WaitOne();
            _ = Work.Exception; // Seen: it is of no interest any more.
            return Work.IsCompletedSuccessfully ? Work.Result : null;
        }
    }
}
