using Microsoft.Extensions.Logging;
using Millrace.Core;
using Millrace.Parquet;

namespace Millrace.History.Archive;

/// <summary>
/// The view of the log that keeps every reading as Parquet (docs/formats/history.md). Its position is committed together with its files,
/// so a crash costs a re-read and no reading stands in the history twice. Files are merged beside; only this view's own thread commits.
/// </summary>
public sealed class ArchiveView(IHistoryStore store, ArchiveOptions options, ILogger logger, TimeProvider? time = null) : IReadingView
{
    private const long HourMicros = 3600 * Micros.PerSecond;

    private readonly TimeProvider _time = time ?? TimeProvider.System;
    private readonly RowBuffer _buffer = new(options.SkewDaysMax);
    private readonly HashSet<string> _unmergeable = new(StringComparer.Ordinal);
    private readonly HashSet<ushort> _full = [];
    private ArchiveFolder? _folder;
    private PositionVector _position = new(0);
    private RunningMerge? _merging;
    private long _mergeAfter;

    /// <param name="root">A local folder for the files.</param>
    /// <param name="options">How they are written.</param>
    /// <param name="logger">Told what goes wrong.</param>
    public ArchiveView(string root, ArchiveOptions options, ILogger logger)
        : this(new LocalHistoryStore(root), options, logger)
    {
    }

    public string Name => "archive";

    /// <summary>Readings in files, by the manifests.</summary>
    public long RowCount => _folder?.Days.Values.Sum(day => day.Files.Sum(file => file.Rows)) ?? 0;

    public async ValueTask<PositionVector> OpenAsync(IReadingLog log, CancellationToken cancel)
    {
        ArgumentNullException.ThrowIfNull(log);
        await AbandonMergeAsync();
        _buffer.Reset();
        _folder = ArchiveFolder.Open(store, options.Declared);
        foreach (var name in _folder.Missing)
            ArchiveLog.FileMissing(logger, $"{store.Name}/{name}");

        var position = _folder.Position ?? log.Oldest.Copy();
        if (position.Count != log.PartitionCount)
            throw new InvalidDataException($"{store.Name} belongs to a log of {position.Count} partitions; this one has {log.PartitionCount}.");

        _position = position.Copy();
        return position;
    }

    public ValueTask ApplyAsync(LogBlock block, CancellationToken cancel)
    {
        ArgumentNullException.ThrowIfNull(block);
        var folder = Folder();
        block = block.From(_position[block.Partition]);
        if (block.Count == 0)
            return default;

        foreach (var record in block)
        {
            if (!record.IsForOneJob)
                _buffer.Add(record, block.Partition, folder.ColumnsOf);
        }

        _position[block.Partition] = block.NextSequence;
        if (_buffer.Count >= options.BufferRows || _buffer.ByteCount >= options.BufferBytes)
            Flush(cancel);
        return default;
    }

    /// <summary>At the tail there is time to merge: one hour's files at a time, beside.</summary>
    public ValueTask IdleAsync(CancellationToken cancel)
    {
        if (_merging is { Work.IsCompleted: true })
            EndMerge();
        if (_merging is null && NextMerge() is var (day, files))
            _merging = new RunningMerge(day, files, isAbandoned => ArchiveMerge.Merge(store, day, files, options.MergedGzipLevel, isAbandoned));
        return default;
    }

    public async ValueTask CheckpointAsync(PositionVector position, CancellationToken cancel)
    {
        Flush(cancel);
        if (_merging is { Work.IsCompleted: true })
            EndMerge();
        if (cancel.IsCancellationRequested)
            await AbandonMergeAsync();
    }

    public void OnLost(LostRange lost)
    {
        ArgumentNullException.ThrowIfNull(lost);
        ArchiveLog.Lost(logger, lost.Partition, lost.From, lost.To);
        _position[lost.Partition] = Math.Max(_position[lost.Partition], lost.To);
    }

    /// <summary>Merges the files of one hour where there are enough, and waits for it; false when there is nothing to merge.</summary>
    public bool MergeOne()
    {
        if (_merging is null && NextMerge() is var (day, files))
            _merging = new RunningMerge(day, files, isAbandoned => ArchiveMerge.Merge(store, day, files, options.MergedGzipLevel, isAbandoned));
        if (_merging is null)
            return false;

        ((IAsyncResult)_merging.Work).AsyncWaitHandle.WaitOne();
        EndMerge();
        return true;
    }

    private ArchiveFolder Folder() => _folder ?? throw new InvalidOperationException("The archive is not open.");

    private (string Day, List<ArchivedFile> Files)? NextMerge()
    {
        var now = _time.Now();
        if (now < _mergeAfter)
            return null;

        foreach (var (day, manifest) in Folder().Days)
        {
            var chosen = ArchiveMerge.Choose(manifest.Files, options, now, file => !_unmergeable.Contains($"{day}/{file.Name}"));
            if (chosen.Count > 0)
                return (day, chosen);
        }

        return null;
    }

    /// <summary>Commits what was merged beside.</summary>
    private void EndMerge()
    {
        var (merge, folder) = (_merging!, Folder());
        _merging = null;
        try
        {
            var merged = merge.Work.GetAwaiter().GetResult();
            store.Stage($"{merge.Day}/{merged.Name}");
            folder.Commit(folder.Position!, [new PendingChange(merge.Day, merged, merge.Files.ConvertAll(file => file.Name))]);
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
            using var reader = ParquetReader.Open(store.Open(name));
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

    private async Task AbandonMergeAsync()
    {
        if (_merging is not { } merge)
            return;
        _merging = null;
        await merge.AbandonAsync();
    }

    /// <summary>Writes what is buffered and commits it with the position that the buffer reaches to.</summary>
    private void Flush(CancellationToken cancel)
    {
        var folder = Folder();
        if (_buffer.Count == 0 && folder.Position is { } committed && committed.Equals(_position))
            return;

        var (from, to) = (Total(folder.Position), Total(_position));
        var changes = new List<PendingChange>();
        foreach (var (tenant, hour, rows) in _buffer.Sorted())
        {
            cancel.ThrowIfCancellationRequested();
            changes.Add(WriteHour(folder, tenant, hour, rows.Span, from, to));
        }

        folder.Commit(_position, changes);
        _buffer.Clear();
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
        foreach (var row in rows)
        {
            foreach (ref readonly var cell in _buffer.Cells.Cells(_buffer[row].CellStart, _buffer[row].CellEnd))
            {
                if (cell.Column >= 0)
                    used[cell.Column] = true;
            }
        }

        using var writer = new HistoryFileWriter(
            store.NewFile(name), $"{day}/{hourName}", columns.Columns.Where((_, i) => used[i]), FileEffort.First, options.FirstGzipLevel);
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
        store.Stage(name);
        return new PendingChange(day, file, []);
    }

    private static long Total(PositionVector? position)
    {
        long total = 0;
        for (var p = 0; p < (position?.Count ?? 0); p++)
            total += position![p];
        return total;
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

        public async Task AbandonAsync()
        {
            _isAbandoned = true;
            await ((Task)Work).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }
}
