using System.Buffers;
using Microsoft.Extensions.Logging;
using Millrace.Codecs;
using Millrace.Core;
using Millrace.History.Archive;
using Millrace.History.Queries;
using Millrace.History.Rollups.Stored;

namespace Millrace.History.Rollups.Groups;

/// <summary>
/// The view of the log that keeps minutes of every numeric field for the fleet, each device type and each tag, and which devices were heard in
/// which quarter-hour. Questions may come from any thread.
/// </summary>
public sealed class GroupRollupView : IReadingView, IDisposable
{
    private const long Day = 86_400 * Micros.PerSecond;

    /// <summary>Cells held before they are stored; about 150 bytes each.</summary>
    private const int CellsMax = 300_000;

    /// <summary>Days whose presence stays in memory: 12 MB each for a million devices.</summary>
    private const int PresenceDays = 2;

    /// <summary>How often days past their retention are looked for.</summary>
    private const long RetentionEvery = 10 * Micros.PerMinute;

    private static readonly (long Day, Presence Presence) NoDay = (long.MinValue, new Presence());

    private readonly Lock _gate = new();
    private readonly GroupMembers _members;
    private readonly GroupStore _store;
    private readonly ILogger _logger;
    private readonly Dictionary<ushort, NumericFields> _fields = [];
    private readonly GroupCells _cells = new();
    private readonly Dictionary<long, Presence> _presence = [];
    private readonly HashSet<long> _dirtyDays = [];

    /// <summary>The day marked last, which the next reading mostly belongs to; none after days were saved.</summary>
    private (long Day, Presence Presence) _marked = NoDay;

    private readonly ArrayBufferWriter<byte> _json = new(1024);
    private readonly HashSet<ushort> _full = [];
    private readonly TimeProvider _time;
    private readonly Func<ushort, TimeSpan?>? _retention;
    private PositionVector _position = new(0);
    private long _retainAfter;

    /// <param name="root">The view's folder.</param>
    /// <param name="retention">Age at which a tenant's minutes go; null for never.</param>
    public GroupRollupView(string root, IDeviceRegistry registry, ILogger logger, TimeProvider? time = null, Func<ushort, TimeSpan?>? retention = null)
    {
        _time = time ?? TimeProvider.System;
        _retention = retention;
        _store = new GroupStore(root, logger);
        _members = new GroupMembers(registry);
        _logger = logger;
    }

    public string Name => "trends";

    /// <summary>Readings whose clock is years behind: no trend counts them.</summary>
    public long Skewed { get; private set; }

    public ValueTask<PositionVector> OpenAsync(IReadingLog log, CancellationToken cancel)
    {
        ArgumentNullException.ThrowIfNull(log);
        lock (_gate)
        {
            _cells.Clear();
            _presence.Clear();
            _dirtyDays.Clear();
            _marked = NoDay;
            _store.Open();
            if (_store.Position is { } stored && stored.Count != log.PartitionCount)
            {
                RollupLog.OtherLog(_logger, stored.Count, log.PartitionCount);
                _store.Clear();
            }

            _members.Load(_store.Devices());
            foreach (var series in _store.Series)
                _members.PlaceOf(series);
            _position = _store.Position ?? log.Oldest.Copy();
            return new(_position.Copy());
        }
    }

    public ValueTask ApplyAsync(LogBlock block, CancellationToken cancel)
    {
        ArgumentNullException.ThrowIfNull(block);
        block = block.From(_position[block.Partition]);
        if (block.Count == 0)
            return default;

        lock (_gate)
        {
            _members.Refresh();
            foreach (var record in block)
            {
                if (!record.IsForOneJob)
                    Add(record, block.Partition);
            }

            _position[block.Partition] = block.NextSequence;
            if (_cells.Count > CellsMax)
                Save();
        }

        return default;
    }

    public ValueTask IdleAsync(CancellationToken cancel)
    {
        lock (_gate)
        {
            _store.MergeOnce();
            Retain();
        }

        return default;
    }

    public ValueTask CheckpointAsync(PositionVector position, CancellationToken cancel)
    {
        lock (_gate)
            Save();
        return default;
    }

    public void OnLost(LostRange lost)
    {
        ArgumentNullException.ThrowIfNull(lost);
        _position[lost.Partition] = Math.Max(_position[lost.Partition], lost.To);
    }

    /// <summary>
    /// The trend of a field for the fleet, or for each type or tag. Groups without a reading of the field in the period are left out.
    /// </summary>
    /// <param name="buckets">Of <see cref="LocalBuckets"/>, in order, at least one.</param>
    public IReadOnlyList<GroupTrend> Read(ushort tenant, string field, GroupKind kind, IReadOnlyList<LocalBucket> buckets)
    {
        ArgumentNullException.ThrowIfNull(buckets);
        var (from, to) = (buckets[0].Start, buckets[^1].End);
        List<Held> groups = [];
        List<CellFileReader> files;
        lock (_gate)
        {
            var known = _members.Known(tenant);
            var reported = _members.Count(tenant, Heard(from, to).Devices());
            var number = _fields.GetValueOrDefault(tenant)?.Find(field) ?? -1;
            for (var place = 0; place < _members.Series.Count; place++)
            {
                if (_members.Series[place] is { } series && series.Tenant == tenant && series.Kind == kind)
                    groups.Add(new Held(series, Cells(place, number, from, to), reported[place], known[place]));
            }

            files = _store.OpenCells(from, to);
        }

        try
        {
            // Files are read outside of the gate: the view goes on meanwhile.
            foreach (var group in groups)
                _store.Collect(files, group.Series, field, from, to, group.Cells);
        }
        finally
        {
            files.ForEach(file => file.Dispose());
        }

        return [.. groups.Where(group => group.Cells.Count > 0).OrderBy(group => group.Series.Name, StringComparer.Ordinal).Select(group => new GroupTrend(
            kind == GroupKind.Fleet ? null : group.Series.Name, TrendPoints.Of(group.Cells, LocalBuckets.Minute, buckets), group.Reported, group.Known))];
    }

    public void Dispose() => _members.Dispose();

    private void Retain()
    {
        var now = _time.Now();
        if (_retention is null || now < _retainAfter)
            return;

        _retainAfter = now + RetentionEvery;
        _store.Retain(now, _retention);
    }

    /// <summary>Copies of the cells that are not stored yet.</summary>
    private SortedList<long, Cell> Cells(int group, int field, long from, long to)
    {
        var found = new SortedList<long, Cell>();
        foreach (var (start, cell) in _cells.Find(group, field) ?? new Dictionary<long, Cell>())
        {
            if (start >= from && start < to)
                found.Add(start, cell.Copy());
        }

        return found;
    }

    /// <summary>The devices heard in the quarter-hours that the stretch reaches into.</summary>
    private Presence Heard(long from, long to)
    {
        var heard = new Presence();
        for (var day = LocalBuckets.Floor(from, Day); day < to; day += Day)
            PresenceOf(day / Day)?.Collect(LocalBuckets.Floor(from, LocalBuckets.QuarterHour), to, heard);
        return heard;
    }

    private Presence? PresenceOf(long day) => _presence.GetValueOrDefault(day) ?? _store.ReadPresence(day);

    private void Save()
    {
        if (_store.Position is { } stored && stored.Equals(_position))
            return;

        var series = _cells.All().GroupBy(held => held.Group).Select(group => (
            GroupStore.KeyOf(_members.Series[group.Key]),
            group.Select(held => new FieldCells(
                _fields[_members.Series[group.Key].Tenant].Names[held.Field], [.. held.Cells.Values.OrderBy(cell => cell.Start)])).ToList()));
        _store.Commit(_position, _members.Devices, _members.Series, series, _dirtyDays.ToDictionary(day => day, day => _presence[day]));
        _cells.Clear();
        _dirtyDays.Clear();
        _marked = NoDay;
        // Late readings may have brought back old days: only the newest stay in memory.
        foreach (var day in _presence.Keys.OrderDescending().Skip(PresenceDays).ToList())
            _presence.Remove(day);
    }

    private void Mark(long time, int device)
    {
        var day = LocalBuckets.Floor(time, Day) / Day;
        if (day != _marked.Day)
        {
            if (!_presence.TryGetValue(day, out var presence))
                _presence.Add(day, presence = _store.ReadPresence(day) ?? new Presence());
            _dirtyDays.Add(day);
            _marked = (day, presence);
        }

        _marked.Presence.Mark(LocalBuckets.Floor(time, LocalBuckets.QuarterHour), device);
    }

    /// <summary>Hot.</summary>
    private void Add(in ReadingRecord record, int partition)
    {
        var time = record.EventTime;
        if (ArchiveOptions.IsSkewed(time, record.ReceivedAt, ArchiveOptions.SkewDaysDefault))
        {
            Skewed++;
            return;
        }

        var tenant = record.Tenant;
        var device = _members.NumberOf(tenant, record.Id);
        Mark(time, device);
        var fields = FieldsOf(tenant);
        Read(record, fields);
        if (fields.Refused > 0 && _full.Add(tenant))
            RollupLog.FieldsFull(_logger, tenant, NumericFields.NamesMax);

        _cells.Add(_members.GroupsOf(device), fields.Values, time, partition, record.Sequence);
    }

    private void Read(in ReadingRecord record, NumericFields fields)
    {
        // A payload of JSON was checked when it was taken in; only the other formats have to be shown as JSON first.
        if (record.Format == PayloadFormat.Json)
        {
            fields.Read(record.Payload);
            return;
        }

        _json.ResetWrittenCount();
        PayloadView.WriteJson(record, _json);
        fields.Read(_json.WrittenSpan);
    }

    private NumericFields FieldsOf(ushort tenant)
    {
        if (!_fields.TryGetValue(tenant, out var fields))
            _fields.Add(tenant, fields = new NumericFields());
        return fields;
    }

    /// <param name="Cells">What is not stored, then what is.</param>
    private sealed record Held(GroupSeries Series, SortedList<long, Cell> Cells, long Reported, long Known);
}
