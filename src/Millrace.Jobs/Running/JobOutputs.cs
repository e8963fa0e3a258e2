using Microsoft.Extensions.Logging;
using Millrace.Core;
using Millrace.Jobs.Alerting;
using Millrace.Jobs.Definitions;
using Millrace.Outputs;
using Millrace.Outputs.Delivery;
using Millrace.Outputs.Live;
using Millrace.Registry.Alerts;
using Millrace.StreamSql;

namespace Millrace.Jobs.Running;

/// <summary>
/// Where a running job's rows go. Every output shows its last rows; those of a kind with a target go through an outbox, those of alerts
/// straight into the alert book, which is a transaction on this machine.
/// </summary>
internal sealed class JobOutputs : IQuerySink, IAsyncDisposable
{
    /// <summary>Alert rows taken in at once: bounds memory when a query raises a million.</summary>
    private const int AlertRowsMax = 5000;

    private readonly string _job;
    private readonly ushort _tenant;
    private readonly int _version;
    private readonly JobServices _services;
    private readonly Lane[] _lanes;
    private readonly List<AlertEntry> _alertRows = [];
    private readonly List<AlertChannel> _channels = [];
    private readonly CancellationTokenSource _stop = new();
    private readonly List<Task> _running = [];
    private readonly Func<long, bool> _isGap;
    private long _alertsUpTo = long.MinValue;
    private bool _muted;

    private sealed class Lane
    {
        public required string Name { get; init; }
        public required string Kind { get; init; }
        public required LiveOutput Live { get; init; }
        public Outbox? Outbox { get; init; }
        public OutputPump? Pump { get; init; }
        public AlertTarget? Alert { get; init; }
        public long FirstNumber { get; set; }
        public long Rows { get; set; }
    }

    /// <param name="lineage">By which targets know the rows.</param>
    /// <param name="isGap">Whether the interval a row of this time speaks about overlaps the server's downtime.</param>
    /// <param name="live">Lanes of live rows that outlive a restart of the job, by output.</param>
    public JobOutputs(
        JobDefinition definition, ushort tenant, int version, Lineage lineage, CompiledQuery query, string folder, JobServices services, ILogger log,
        Func<string, LiveOutput> live, Func<long, bool> isGap)
    {
        (_job, _tenant, _version, _services, _isGap) = (definition.Name, tenant, version, services, isGap);
        var factory = new OutputFactory(services);
        _lanes = new Lane[query.Outputs.Count];
        for (var i = 0; i < _lanes.Length; i++)
        {
            var name = query.Outputs[i];
            var given = definition.Outputs.FirstOrDefault(o => o.Name.Equals(name, StringComparison.OrdinalIgnoreCase)) ?? new JobOutput(name, "live", []);
            var place = Path.Combine(folder, "outputs", FolderName(given.Name));
            switch (given.Kind)
            {
                case "live":
                    _lanes[i] = new Lane { Name = given.Name, Kind = given.Kind, Live = live(given.Name) };
                    break;
                case "alert" or "alert-clear":
                    var target = factory.Alert(definition.Name, given);
                    _lanes[i] = new Lane { Name = given.Name, Kind = given.Kind, Live = live(given.Name), Alert = target };
                    _channels.AddRange(target.Channels.Select(to => AlertChannel.Open(to, place, services, log)));
                    break;
                default:
                    var outbox = Outbox.Open(place, services.OutboxBytesMax);
                    var source = new OutputSource(definition.Name, given.Name) { Lineage = lineage };
                    var pump = new OutputPump(
                        source, factory.Create(source, given.Kind, given.Spec, $"outputs.{given.Name}"), outbox, Path.Combine(place, "delivered.json"),
                        services.Time, log, services.Retry);
                    _lanes[i] = new Lane { Name = given.Name, Kind = given.Kind, Live = live(given.Name), Outbox = outbox, Pump = pump };
                    break;
            }
        }
    }

    /// <summary>Raised for every event a query of the job could not take.</summary>
    public Action<DeadLetter>? DeadLettered { get; set; }

    /// <summary>Rows emitted by this version since it began.</summary>
    public long RowsOut => _lanes.Sum(l => l.Rows);

    /// <summary>The output that is too far behind for the job to go on, or null.</summary>
    public string? Full => _lanes.FirstOrDefault(l => l.Outbox is { HasRoom: false })?.Name;

    public IReadOnlyList<JobOutputStatus> Status =>
    [
        .. _lanes.Select(l => new JobOutputStatus(l.Name, l.Kind, l.Rows, l.Pump?.Status)),
        .. _channels.Select(c => new JobOutputStatus(c.Name, c.Status.Kind, 0, c.Status, IsNotification: true)),
    ];

    /// <summary>Rows are warm-up from now on: counted by the engine, given to nobody.</summary>
    public void Mute() => _muted = true;

    /// <summary>Warm-up is over: the next row of each output is row 0 of this version.</summary>
    public void Unmute(QueryExecution execution)
    {
        _muted = false;
        for (var i = 0; i < _lanes.Length; i++)
            _lanes[i].FirstNumber = execution.NextRowNumber(i);
    }

    /// <summary>A new execution goes on with the numbers that an earlier one of this version came to.</summary>
    public void Continue(IReadOnlyList<long> nextNumbers, QueryExecution execution)
    {
        _muted = false;
        for (var i = 0; i < _lanes.Length; i++)
        {
            _lanes[i].FirstNumber = execution.NextRowNumber(i) - nextNumbers[i];
            _lanes[i].Rows = nextNumbers[i];
        }
    }

    /// <summary>Per output the number that the next row will have.</summary>
    public IReadOnlyList<long> NextNumbers => [.. _lanes.Select(l => l.Rows)];

    public IReadOnlyList<long> FirstNumbers => [.. _lanes.Select(l => l.FirstNumber)];

    public void Restore(IReadOnlyList<long> firstNumbers, QueryExecution execution)
    {
        for (var i = 0; i < _lanes.Length; i++)
        {
            _lanes[i].FirstNumber = firstNumbers[i];
            _lanes[i].Rows = execution.NextRowNumber(i) - firstNumbers[i];
        }
    }

    public void Start()
    {
        foreach (var lane in _lanes.Where(l => l.Pump is not null))
            _running.Add(Task.Run(() => lane.Pump!.RunAsync(_stop.Token)));
        foreach (var channel in _channels)
        {
            channel.Forward();
            _running.Add(Task.Run(() => channel.RunAsync(_stop.Token)));
        }
    }

    public void OnRow(Millrace.StreamSql.OutputRow row)
    {
        if (_muted)
            return;
        var lane = _lanes[row.OutputOrdinal];
        var id = new RowId(_version, row.Number - lane.FirstNumber);
        var timestamp = (row.TimestampTicks - DateTime.UnixEpoch.Ticks) / TimeSpan.TicksPerMicrosecond;
        lane.Rows = id.Row + 1;
        var json = row.Json;
        lane.Outbox?.Append(id, timestamp, json);
        var copy = json.ToArray();
        lane.Live.Add(new Millrace.Outputs.OutputRow(id, timestamp, copy));
        if (lane.Alert is { } alert)
            AddAlert(lane, alert, id, timestamp, copy);
    }

    public void OnDeadLetter(in DeadLetter letter)
    {
        if (!_muted)
            DeadLettered?.Invoke(letter);
    }

    /// <summary>Hands on what was made so far: rows to the pumps, alerts to the book.</summary>
    public void Publish(long watermark)
    {
        foreach (var lane in _lanes)
            lane.Outbox?.Publish();
        if (_muted)
            return;
        // A second of watermark is fine enough for clearing; rows never wait.
        if (_alertRows.Count == 0 && (watermark - _alertsUpTo < Micros.PerSecond || !_lanes.Any(l => l.Alert is not null)))
            return;
        ApplyAlerts(watermark);
        _alertsUpTo = watermark;
    }

    /// <summary>Puts on stable storage what a snapshot will say was made.</summary>
    public void Flush(long watermark)
    {
        if (_alertRows.Count > 0)
            ApplyAlerts(watermark);
        foreach (var lane in _lanes)
            lane.Outbox?.Flush();
    }

    public async ValueTask WaitForRoomAsync(CancellationToken cancel)
    {
        foreach (var lane in _lanes)
        {
            if (lane.Outbox is { HasRoom: false } full)
                await full.WaitForRoomAsync(cancel);
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await Task.WhenAll(_running);
        foreach (var lane in _lanes)
        {
            if (lane.Pump is { } pump)
                await pump.DisposeAsync();
            lane.Outbox?.Dispose();
        }

        foreach (var channel in _channels)
            await channel.DisposeAsync();
        _stop.Dispose();
    }

    /// <summary>An output's name as a folder: what a file system may not like is written as hex.</summary>
    internal static string FolderName(string output) => string.Concat(
        output.ToLowerInvariant().Select(c => char.IsAsciiLetterOrDigit(c) || c is '_' ? c.ToString() : $"-{(int)c:x}-"));

    private void AddAlert(Lane lane, AlertTarget alert, RowId id, long timestamp, byte[] json)
    {
        var (key, device, message) = AlertKeys.Read(json, alert.Rule.Rule, alert.Key, alert.Message);
        var row = new AlertRow(_tenant, _job, key, device, message, System.Text.Encoding.UTF8.GetString(json), timestamp, _isGap(timestamp));
        _alertRows.Add(new AlertEntry(lane.Name, id.Version, id.Row, alert.Rule, row, alert.Clears, [.. alert.Channels.Select(c => c.Channel)]));
        // The row's own time is a watermark that holds: rows come in time order.
        if (_alertRows.Count >= AlertRowsMax)
            ApplyAlerts(long.MinValue / 4);
    }

    private void ApplyAlerts(long watermark)
    {
        _services.Alerts.Apply(_job, _alertRows, watermark);
        _alertRows.Clear();
        foreach (var channel in _channels)
            channel.Forward();
    }
}
