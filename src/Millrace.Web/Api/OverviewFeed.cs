using System.Buffers;
using System.Collections.Concurrent;
using System.Text.Json;
using Millrace.Core;
using Millrace.Listeners.Http;
using Millrace.Registry;
using Millrace.Registry.Alerts;
using Millrace.Web.Hosting;

namespace Millrace.Web.Api;

/// <summary>
/// The overview of each tenant, written once and given to everybody who looks: two hundred browsers cost two hundred sends, not
/// two hundred looks at alerts and jobs. Runs only while somebody watches. Thread-safe.
/// </summary>
internal sealed class OverviewFeed
{
    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(500);

    private readonly ServerState _state;
    private readonly ConcurrentDictionary<ushort, Channel> _channels = new();
    private volatile int _alertsVersion;

    public OverviewFeed(ServerState state)
    {
        _state = state;
        if (state.Parts.Alerts is { } alerts)
            alerts.Changed += _ => Interlocked.Increment(ref _alertsVersion);
    }

    /// <summary>Begins watching; dispose the watch to leave.</summary>
    public Watch Begin(ushort tenant)
    {
        var channel = _channels.GetOrAdd(tenant, t => new Channel(this, t));
        channel.Enter();
        return new Watch(channel);
    }

    /// <summary>One browser's place. A browser that is slow misses frames, it does not delay others.</summary>
    internal readonly struct Watch(Channel channel) : IDisposable
    {
        /// <summary>What is known now, as a whole event.</summary>
        public byte[] Current => channel.Current();

        /// <summary>The next event.</summary>
        public Task<byte[]> NextAsync(CancellationToken cancel) => channel.NextAsync(cancel);

        public void Dispose() => channel.Leave();
    }

    /// <summary>What one tenant's browsers share.</summary>
    internal sealed class Channel(OverviewFeed feed, ushort tenant)
    {
        private readonly Lock _gate = new();
        private readonly ArrayBufferWriter<byte> _json = new(4096);
        private TaskCompletionSource<byte[]> _next = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private byte[]? _last;
        private int _watching;
        private Task? _telling;
        private long[] _before = [];
        private long _beforeAt;
        private int _countedVersion = -1;
        private IReadOnlyList<OpenAlertCount> _counts = [];

        public void Enter()
        {
            lock (_gate)
            {
                _watching++;
                _telling ??= TellAsync();
            }
        }

        public void Leave()
        {
            lock (_gate)
                _watching--;
        }

        public byte[] Current()
        {
            lock (_gate)
                return _last ??= Render(seconds: 0);
        }

        public Task<byte[]> NextAsync(CancellationToken cancel) => Volatile.Read(ref _next).Task.WaitAsync(cancel);

        /// <summary>Ends at the first tick that nobody waits for, or when the server stops.</summary>
        private async Task TellAsync()
        {
            var time = feed._state.Parts.Time;
            using var timer = new PeriodicTimer(Interval, time);
            _before = Stored();
            _beforeAt = time.GetTimestamp();
            try
            {
                while (await timer.WaitForNextTickAsync(feed._state.Leaving))
                {
                    byte[] frame;
                    lock (_gate)
                    {
                        if (_watching == 0)
                        {
                            (_telling, _last) = (null, null);
                            return;
                        }

                        if (!TryRender(time.GetElapsedTime(_beforeAt).TotalSeconds))
                            continue;
                        frame = _last!;
                        _before = Stored();
                        _beforeAt = time.GetTimestamp();
                    }

                    Interlocked.Exchange(ref _next, new(TaskCreationOptions.RunContinuationsAsynchronously)).SetResult(frame);
                }
            }
            catch (OperationCanceledException)
            {
                // The server stops; the watchers stop by the same token.
            }
        }

        /// <summary>False when the registry is held by another program: those who look keep what they have until the next tick.</summary>
        private bool TryRender(double seconds)
        {
            try
            {
                _last = Render(seconds);
                return true;
            }
            catch (RegistryBusyException)
            {
                return false;
            }
        }

        private long[] Stored() => [.. feed._state.Parts.Ledgers.Select(l => l.Stored)];

        private byte[] Render(double seconds)
        {
            _json.ResetWrittenCount();
            using (var json = new Utf8JsonWriter(_json, JsonText.WriterOptions))
                Write(json, seconds);
            var frame = new ArrayBufferWriter<byte>(_json.WrittenCount + 32);
            EventStream.Write(frame, null, "overview", _json.WrittenSpan);
            return frame.WrittenSpan.ToArray();
        }

        private void Write(Utf8JsonWriter json, double seconds)
        {
            var parts = feed._state.Parts;
            var durable = parts.Log.Durable;
            json.WriteStartObject();
            json.WriteTime("time"u8, parts.Time.Now());
            json.WriteTime("startedAt"u8, feed._state.StartedAt);
            json.WriteNumber("devices"u8, parts.Registry.Count(tenant));
            json.WriteString("log"u8, parts.Log.State.ToString().ToLowerInvariant());
            WriteBooks(json, parts.Ledgers, seconds);
            json.WriteStartArray("views"u8);
            foreach (var view in parts.Views())
            {
                json.WriteStartObject();
                json.WriteString("name"u8, view.Name);
                json.WriteString("state"u8, view.State);
                json.WriteNumber("lagReadings"u8, view.Position.LagBehind(durable));
                json.WriteEndObject();
            }

            json.WriteEndArray();
            WriteAlerts(json);
            WriteJobs(json);
            json.WriteEndObject();
        }

        private void WriteBooks(Utf8JsonWriter json, IReadOnlyList<ListenerLedger> ledgers, double seconds)
        {
            json.WriteStartArray("listeners"u8);
            for (var i = 0; i < ledgers.Count; i++)
            {
                json.WriteStartObject();
                BookText.Write(json, ledgers[i]);
                json.WriteNumber("perSecond"u8, seconds > 0 ? Math.Round((ledgers[i].Stored - _before[i]) / seconds, 1) : 0);
                json.WriteEndObject();
            }

            json.WriteEndArray();
        }

        /// <summary>Open alerts by severity and state; counted again only after one changed.</summary>
        private void WriteAlerts(Utf8JsonWriter json)
        {
            if (feed._state.Parts.Alerts is not { } book)
                return;
            var version = feed._alertsVersion;
            if (version != _countedVersion)
                (_counts, _countedVersion) = (book.CountOpenBySeverity(tenant), version);
            json.WriteStartArray("alerts"u8);
            foreach (var count in _counts)
            {
                json.WriteStartObject();
                json.WriteString("severity"u8, count.Severity);
                json.WriteString("state"u8, count.State.ToString().ToLowerInvariant());
                json.WriteNumber("count"u8, count.Alerts);
                json.WriteEndObject();
            }

            json.WriteEndArray();
        }

        private void WriteJobs(Utf8JsonWriter json)
        {
            if (feed._state.Parts.Jobs is not { } host)
                return;
            json.WriteStartArray("jobs"u8);
            foreach (var job in host.List(tenant))
            {
                json.WriteStartObject();
                json.WriteString("name"u8, job.Name);
                json.WriteString("state"u8, job.Status.State.ToString().ToLowerInvariant());
                json.WriteNumber("rowsIn"u8, job.Status.RowsIn);
                json.WriteNumber("rowsOut"u8, job.Status.RowsOut);
                json.WriteNumber("bad"u8, job.Status.Bad);
                json.WriteNumber("lagReadings"u8, job.Status.LagReadings);
                json.WriteOptional("lastError"u8, job.Status.LastError);
                json.WriteEndObject();
            }

            json.WriteEndArray();
        }
    }
}
