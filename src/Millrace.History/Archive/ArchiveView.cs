using Microsoft.Extensions.Logging;
using Millrace.Core;
using Millrace.Parquet;

namespace Millrace.History.Archive;

/// <summary>
/// The view of the log that keeps every reading as Parquet (docs/formats/history.md). Its position is committed together with its files,
/// so a crash costs a re-read and no reading stands in the history twice.
/// </summary>
public sealed class ArchiveView(string root, ArchiveOptions options, ILogger logger) : IReadingView
{
    private readonly RowBuffer _buffer = new(options.SkewDaysMax);
    private readonly HashSet<string> _unmergeable = [];
    private readonly HashSet<ushort> _full = [];
    private ArchiveFolder? _folder;
    private PositionVector _position = new(0);

    public string Name => "archive";

    /// <summary>Readings in files, by the manifests.</summary>
    public long RowCount => _folder?.Days.Values.Sum(day => day.Files.Sum(file => file.Rows)) ?? 0;

    public ValueTask<PositionVector> OpenAsync(IReadingLog log, CancellationToken cancel)
    {
        ArgumentNullException.ThrowIfNull(log);
        _buffer.Clear();
        _folder = ArchiveFolder.Open(root);
        foreach (var path in _folder.Missing)
            ArchiveLog.FileMissing(logger, path);

        var position = _folder.Position ?? log.Oldest.Copy();
        if (position.Count != log.PartitionCount)
            throw new InvalidDataException($"{root} belongs to a log of {position.Count} partitions; this one has {log.PartitionCount}.");

        _position = position.Copy();
        return new(position);
    }

    public ValueTask ApplyAsync(LogBlock block, CancellationToken cancel)
    {
        ArgumentNullException.ThrowIfNull(block);
        block = block.From(_position[block.Partition]);
        if (block.Count == 0)
            return default;

        foreach (var record in block)
            _buffer.Add(record, block.Partition);
        _position[block.Partition] = block.NextSequence;
        if (_buffer.Count >= options.BufferRows || _buffer.ByteCount >= options.BufferBytes)
            Flush(cancel);
        return default;
    }

    /// <summary>At the tail there is time to merge: one day's files at a call.</summary>
    public ValueTask IdleAsync(CancellationToken cancel)
    {
        MergeOne();
        return default;
    }

    public ValueTask CheckpointAsync(PositionVector position, CancellationToken cancel)
    {
        Flush(cancel);
        return default;
    }

    public void OnLost(LostRange lost)
    {
        ArgumentNullException.ThrowIfNull(lost);
        ArchiveLog.Lost(logger, lost.Partition, lost.From, lost.To);
        _position[lost.Partition] = Math.Max(_position[lost.Partition], lost.To);
    }

    /// <summary>Merges the files of one day where there are enough; false when there is nothing to merge.</summary>
    public bool MergeOne()
    {
        var folder = _folder ?? throw new InvalidOperationException("The archive is not open.");
        foreach (var (day, manifest) in folder.Days)
        {
            var chosen = _unmergeable.Contains(day) ? [] : ArchiveMerge.Choose(manifest.Files, options);
            if (chosen.Count == 0)
                continue;

            Merge(folder, day, chosen);
            return true;
        }

        return false;
    }

    private void Merge(ArchiveFolder folder, string day, List<ArchivedFile> chosen)
    {
        var name = ArchivedFile.NameOf(chosen[0].Generation + 1, chosen[0].From, chosen[^1].To);
        try
        {
            var merged = ArchiveMerge.Merge(
                chosen.ConvertAll(file => folder.PathOf(day, file.Name)), chosen, folder.TemporaryPathOf(day, name), day);
            folder.Commit(folder.Position!, [new PendingChange(day, merged, chosen.ConvertAll(file => file.Name))]);
        }
        catch (Exception fault) when (fault is ParquetFormatException or FileNotFoundException or InvalidDataException)
        {
            // A damaged or missing file must not stop the others: the day stays as it is, and its good files are served.
            _unmergeable.Add(day);
            ArchiveLog.NotMerged(logger, day, fault.Message);
        }
    }

    /// <summary>Writes what is buffered and commits it with the position that the buffer reaches to.</summary>
    private void Flush(CancellationToken cancel)
    {
        var folder = _folder ?? throw new InvalidOperationException("The archive is not open.");
        if (_buffer.Count == 0 && folder.Position is { } committed && committed.Equals(_position))
            return;

        var (from, to) = (Total(folder.Position), Total(_position));
        var order = _buffer.Sorted();
        var changes = new List<PendingChange>();
        for (var start = 0; start < order.Length;)
        {
            cancel.ThrowIfCancellationRequested();
            ref readonly var first = ref _buffer[order[start]];
            var end = start;
            while (end < order.Length && _buffer[order[end]].Tenant == first.Tenant && _buffer[order[end]].Day == first.Day)
                end++;
            changes.Add(WriteDay(folder, order.AsSpan(start, end - start), first.Tenant, first.Day, from, to));
            start = end;
        }

        folder.Commit(_position, changes);
        _buffer.Clear();
    }

    private PendingChange WriteDay(ArchiveFolder folder, ReadOnlySpan<int> order, ushort tenant, long day, long from, long to)
    {
        var columns = folder.ColumnsOf(tenant);
        var splitter = new PayloadSplitter(columns);
        var fields = new SortedDictionary<string, ParquetKind>(StringComparer.Ordinal);
        foreach (var row in order)
        {
            splitter.Split(_buffer.Json(row));
            foreach (var value in splitter.Values)
                fields[value.Column] = value.Kind;
        }

        if (columns.Refused > 0 && _full.Add(tenant))
            ArchiveLog.FieldsFull(logger, tenant, ColumnSet.ColumnsMax);

        var place = ArchiveFolder.FolderOf(tenant, day);
        var path = folder.TemporaryPathOf(place, ArchivedFile.NameOf(0, from, to));
        using var writer = new HistoryFileWriter(
            path, place, [.. fields.Select(field => (field.Key, field.Value))], options.FirstGzipLevel);
        foreach (var row in order)
        {
            ref readonly var reading = ref _buffer[row];
            writer.Begin(_buffer.Id(row), reading.Time, reading.ReceivedAt, reading.Partition, reading.Sequence);
            splitter.Split(_buffer.Json(row));
            foreach (var value in splitter.Values)
                writer.Add(value);
            writer.AddRest(splitter.Rest);
            writer.End();
        }

        return new PendingChange(place, writer.Complete(0, from, to), []);
    }

    private static long Total(PositionVector? position)
    {
        long total = 0;
        for (var p = 0; p < (position?.Count ?? 0); p++)
            total += position![p];
        return total;
    }
}
