using System.Buffers;
using System.Text;
using System.Text.Json;
using Microsoft.Extensions.Logging;
using Millrace.Codecs;
using Millrace.Core;

namespace Millrace.Processing.SqlView;

/// <summary>
/// Keeps a relational table at every device's newest value. The view remembers which devices had readings and writes what
/// the latest-value view says of them, so the order of readings is decided in one place: writing again, or late data, can
/// never put an older value in a newer one's place, and the table needs no column of ours. A database that is down holds
/// this view back, visibly; devices that report meanwhile are written once with their newest value.
/// </summary>
public sealed class SqlValueView : IReadingView
{
    /// <summary>Rows of one statement: beyond this MariaDB gains nothing and PostgreSQL's parameter limit comes near.</summary>
    private const int RowsPerBatch = 1000;

    private static readonly TimeSpan RetryMin = TimeSpan.FromMilliseconds(200);
    private static readonly TimeSpan RetryMax = TimeSpan.FromSeconds(15);
    private static readonly TimeSpan LatestWait = TimeSpan.FromSeconds(5);

    private readonly ISqlValueTable _table;
    private readonly ILatestReadings _latest;
    private readonly Func<IEnumerable<byte[]>> _allIds;
    private readonly Func<PositionVector?> _enrolledUpTo;
    private readonly string _checkpointPath;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly Writer[] _writers;
    private readonly Lane _preparing = new();
    private PositionVector _applied = new(0);
    private int _dirty;
    private bool _prepared;
    private bool _overtaken;

    /// <param name="allIds">Every known device id of the default tenant: a table never filled before gets all of them.</param>
    /// <param name="enrolledUpTo">How far the log has been looked through for those ids; asked before they are.</param>
    /// <param name="writers">Connections writing in parallel; a device always uses the same one.</param>
    public SqlValueView(
        ISqlValueTable table, ILatestReadings latest, Func<IEnumerable<byte[]>> allIds, Func<PositionVector?> enrolledUpTo, string checkpointPath,
        int writers, TimeProvider time, ILogger logger)
    {
        (_table, _latest, _allIds, _enrolledUpTo) = (table, latest, allIds, enrolledUpTo);
        (_checkpointPath, _time, _logger) = (checkpointPath, time, logger);
        _writers = [.. Enumerable.Range(0, writers).Select(_ => new Writer())];
    }

    public string Name => "sql";

    /// <summary>Rows refused by the database for their own sake since start.</summary>
    public long RefusedRows { get; private set; }

    /// <summary>Blocking work of which only one piece runs at a time, also when its caller has stopped waiting for it.</summary>
    private class Lane
    {
        public Task Busy = Task.CompletedTask;
    }

    private sealed class Writer : Lane
    {
        public readonly HashSet<string> Dirty = new(StringComparer.Ordinal);
        public ISqlValueWriter? Connection;

        public void Close()
        {
            Connection?.Dispose();
            Connection = null;
        }
    }

    public async ValueTask<PositionVector> OpenAsync(IReadingLog log, CancellationToken cancel)
    {
        Reset();
        if (ReadCheckpoint(log.PartitionCount) is { } position)
        {
            _applied = position.Copy();
            return position;
        }

        // A new target: known devices are taken from the latest values, the log from where devices are not known yet.
        _applied = _enrolledUpTo() is { } enrolled && enrolled.Count == log.PartitionCount ? enrolled.Copy() : new PositionVector(log.PartitionCount);
        await FillAsync(cancel);
        WriteCheckpoint(_applied);
        return _applied.Copy();
    }

    public async ValueTask ApplyAsync(LogBlock block, CancellationToken cancel)
    {
        await MakeUpForLostAsync(cancel);
        foreach (var record in block)
        {
            if (record.Tenant == 0)
                MarkDirty(record.Id);
        }

        _applied[block.Partition] = block.NextSequence;
        if (_dirty >= RowsPerBatch * _writers.Length)
            await FlushAsync(cancel);
    }

    public async ValueTask IdleAsync(CancellationToken cancel)
    {
        await MakeUpForLostAsync(cancel);
        await FlushAsync(cancel);
    }

    public async ValueTask CheckpointAsync(PositionVector position, CancellationToken cancel)
    {
        await MakeUpForLostAsync(cancel);
        await FlushAsync(cancel);
        WriteCheckpoint(position);
    }

    /// <summary>Which devices had the lost readings nobody knows any more; what became of them the latest values still do.</summary>
    public void OnLost(LostRange lost)
    {
        ArgumentNullException.ThrowIfNull(lost);
        _applied[lost.Partition] = Math.Max(_applied[lost.Partition], lost.To);
        _overtaken = true;
    }

    private async ValueTask MakeUpForLostAsync(CancellationToken cancel)
    {
        if (!_overtaken)
            return;
        await FillAsync(cancel);
        _overtaken = false;
    }

    /// <summary>Writes the newest value of every known device.</summary>
    private async Task FillAsync(CancellationToken cancel)
    {
        SqlViewLog.Filling(_logger, _table.Target);
        foreach (var id in _allIds())
        {
            MarkDirty(id);
            if (_dirty >= RowsPerBatch * _writers.Length)
                await FlushAsync(cancel);
        }

        await FlushAsync(cancel);
    }

    private void Reset()
    {
        for (var i = 0; i < _writers.Length; i++)
        {
            var left = _writers[i];
            _ = left.Busy.ContinueWith(_ => left.Close(), CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
            _writers[i] = new Writer();
        }

        _dirty = 0;
        _prepared = _overtaken = false;
    }

    private void MarkDirty(ReadOnlySpan<byte> id)
    {
        var writer = _writers[(int)(DeviceIds.Hash(0, id) % (uint)_writers.Length)];
        Span<char> text = stackalloc char[DeviceIds.LengthMax];
        var length = Encoding.UTF8.GetChars(id, text);
        var lookup = writer.Dirty.GetAlternateLookup<ReadOnlySpan<char>>();
        if (lookup.Add(text[..length]))
            _dirty++;
    }

    private async ValueTask FlushAsync(CancellationToken cancel)
    {
        if (_dirty == 0)
            return;
        for (var partition = 0; partition < _applied.Count; partition++)
        {
            while (!await _latest.ReachAsync(partition, _applied[partition], LatestWait, cancel))
                cancel.ThrowIfCancellationRequested();
        }

        await PrepareAsync(cancel);
        await Task.WhenAll(_writers.Where(w => w.Dirty.Count > 0).Select(writer => FlushAsync(writer, cancel)));
        _dirty = 0;
    }

    private async Task PrepareAsync(CancellationToken cancel)
    {
        if (_prepared)
            return;
        await RetryAsync(_preparing, _table.Prepare, cancel);
        _prepared = true;
    }

    private async Task FlushAsync(Writer writer, CancellationToken cancel)
    {
        foreach (var ids in writer.Dirty.Chunk(RowsPerBatch))
        {
            var rows = ReadRows(ids);
            await RetryAsync(writer, () => Write(writer, rows), cancel);
        }

        writer.Dirty.Clear();
    }

    private List<SqlValueRow> ReadRows(string[] ids)
    {
        var record = new ArrayBufferWriter<byte>(512);
        var view = new ArrayBufferWriter<byte>(512);
        List<SqlValueRow> rows = new(ids.Length);
        foreach (var id in ids)
        {
            record.ResetWrittenCount();
            if (_latest.TryRead(0, Encoding.UTF8.GetBytes(id), record, out var place))
                rows.Add(new SqlValueRow(id, ValueText(new ReadingRecord(record.WrittenSpan, place.Sequence, place.ReceivedAt), view)));
        }

        return rows;
    }

    /// <summary>What the table's data column gets: the text after the colon as it came, or the JSON view of anything else.</summary>
    private static string ValueText(ReadingRecord record, ArrayBufferWriter<byte> view)
    {
        if (record.Format == PayloadFormat.Text)
            return Encoding.UTF8.GetString(record.Payload);
        view.ResetWrittenCount();
        PayloadView.WriteJson(record, view);
        return Encoding.UTF8.GetString(view.WrittenSpan);
    }

    private void Write(Writer writer, IReadOnlyList<SqlValueRow> rows)
    {
        if (rows.Count == 0)
            return;
        try
        {
            (writer.Connection ??= _table.OpenWriter()).Upsert(rows);
        }
        catch (Exception e) when (_table.IsRowFault(e))
        {
            writer.Close();
            WriteAround(writer, rows, e);
        }
        catch
        {
            writer.Close();
            throw;
        }
    }

    /// <summary>One row of the batch is at fault: halve until it is alone, name it, and write the others.</summary>
    private void WriteAround(Writer writer, IReadOnlyList<SqlValueRow> rows, Exception fault)
    {
        if (rows.Count == 1)
        {
            lock (_writers)
                RefusedRows++;
            SqlViewLog.RowRefused(_logger, rows[0].Id, _table.Target, fault.Message);
            return;
        }

        var half = rows.Count / 2;
        Write(writer, [.. rows.Take(half)]);
        Write(writer, [.. rows.Skip(half)]);
    }

    /// <summary>
    /// Runs blocking work on a thread of its own until it succeeds; a database that is down only delays it. One that does
    /// not answer at all keeps the thread, and not the caller who was told to stop.
    /// </summary>
    private async Task RetryAsync(Lane lane, Action work, CancellationToken cancel)
    {
        for (var pause = RetryMin; ; pause = pause * 2 < RetryMax ? pause * 2 : RetryMax)
        {
            await lane.Busy.WaitAsync(cancel).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            cancel.ThrowIfCancellationRequested();
            try
            {
                lane.Busy = Task.Factory.StartNew(work, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
                await lane.Busy.WaitAsync(cancel);
                return;
            }
            catch (Exception e) when (e is not OperationCanceledException || !cancel.IsCancellationRequested)
            {
                SqlViewLog.Unreachable(_logger, _table.Target, pause.TotalSeconds, e.Message);
                await Task.Delay(pause * (0.5 + Random.Shared.NextDouble()), _time, cancel);
            }
        }
    }

    private PositionVector? ReadCheckpoint(int partitions)
    {
        if (!File.Exists(_checkpointPath))
            return null;
        try
        {
            using var json = JsonDocument.Parse(File.ReadAllBytes(_checkpointPath));
            var position = PositionVector.Parse(json.RootElement.GetProperty("position").GetString() ?? "");
            return json.RootElement.GetProperty("target").GetString() == _table.Target && position.Count == partitions ? position : null;
        }
        catch (Exception e) when (e is JsonException or KeyNotFoundException or FormatException or InvalidOperationException)
        {
            // Losing the checkpoint costs one full fill, which is always right.
            SqlViewLog.CheckpointUnreadable(_logger, _checkpointPath, e.Message);
            return null;
        }
    }

    private void WriteCheckpoint(PositionVector position)
    {
        var buffer = new ArrayBufferWriter<byte>();
        using (var json = new Utf8JsonWriter(buffer))
        {
            json.WriteStartObject();
            json.WriteString("target"u8, _table.Target);
            json.WriteString("position"u8, position.ToString());
            json.WriteEndObject();
        }

        var temporary = _checkpointPath + ".new";
        using (var file = new FileStream(temporary, FileMode.Create, FileAccess.Write))
        {
            file.Write(buffer.WrittenSpan);
            file.Flush(flushToDisk: true);
        }

        File.Move(temporary, _checkpointPath, overwrite: true);
    }
}
