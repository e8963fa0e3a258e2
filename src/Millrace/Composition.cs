using Microsoft.Data.Sqlite;
using Microsoft.Extensions.Logging;
using Millrace.Codecs;
using Millrace.Core;
using Millrace.History;
using Millrace.History.Archive;
using Millrace.History.Queries;
using Millrace.History.Rollups.Devices;
using Millrace.History.Rollups.Groups;
using Millrace.History.Types;
using Millrace.Jobs;
using Millrace.Jobs.Alerting;
using Millrace.Listeners;
using Millrace.Listeners.Middleware;
using Millrace.Listeners.Tcp;
using Millrace.Listeners.Udp;
using Millrace.Log;
using Millrace.Log.Disk;
using Millrace.MySql;
using Millrace.MySql.Outputs;
using Millrace.Outputs.Files;
using Millrace.Processing;
using Millrace.Processing.DeadLetters;
using Millrace.Processing.Enrolling;
using Millrace.Processing.Latest;
using Millrace.Processing.SqlView;
using Millrace.Registry;
using Millrace.Registry.Alerts;
using Millrace.Settings;
using Millrace.Web;

namespace Millrace;

/// <summary>
/// The one list of what exists: the path of a reading from the listeners to the views, each part given what it works
/// with. A new protocol, format or view is a folder and a line here.
/// </summary>
internal sealed class Composition(ServerOptions options, DataFolder folder, TimeProvider time, ILoggerFactory logs)
{
    private static readonly TimeSpan LatestSnapshotEvery = TimeSpan.FromMinutes(5);
    private static readonly TimeSpan EnrolmentEvery = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan TrendsEvery = TimeSpan.FromMinutes(1);
    private static readonly TimeSpan SqlCheckpointEvery = TimeSpan.FromSeconds(5);

    private readonly List<ListenerLedger> _ledgers = [];
    private readonly List<IListener> _listeners = [];
    private readonly List<ViewRunner> _views = [];
    private readonly List<Func<CancellationToken, Task>> _background = [];
    private readonly Stack<Func<ValueTask>> _closing = [];
    private HistoryEraser? _eraser;
    private IHistoryStore? _historyStore;

    /// <exception cref="StartException">Something below the data folder cannot be opened; the message says what to do.</exception>
    public async Task<Server> ComposeAsync(CancellationToken cancel)
    {
        try
        {
            return await BuildAsync(cancel);
        }
        catch (Exception e) when (e is LogFolderException or IOException or UnauthorizedAccessException)
        {
            await CloseAllAsync();
            throw new StartException(e.Message, e);
        }
        catch
        {
            await CloseAllAsync();
            throw;
        }
    }

    private async Task<Server> BuildAsync(CancellationToken cancel)
    {
        var database = Closing(SqliteDatabase.Open(folder.Registry));
        var registry = new SqliteRegistry(database, time);
        var tokens = Closing(new SqliteTokens(database, registry, time, logs.CreateLogger<SqliteTokens>()));
        var totals = new ListenerTotals(database);
        if (options.Security == SecurityMode.Token)
            tokens.EnsureAdminToken(folder.AdminToken);

        var log = await OpenLogAsync();
        _closing.Push(log.DisposeAsync);

        var devices = Closing(new DeviceTable(log.PartitionCount, options.Devices.Max));
        devices.Follow(registry);
        var latest = new LatestValueView(devices, Path.Combine(folder.Views, "latest"), time, logs.CreateLogger<LatestValueView>());
        var enrolment = new EnrolmentView(devices, registry, logs.CreateLogger<EnrolmentView>());
        var admission = new Admission(
            devices, log, latest, _ledgers,
            new AdmissionOptions { Enrolment = options.Devices.Enrolment, ReadingsPerSecond = options.Devices.ReadingsPerSecond }, time);
        var deadLetters = new DeadLetterStore(folder.DeadLetters, time, logs.CreateLogger("Millrace.DeadLetters"));
        _closing.Push(deadLetters.DisposeAsync);

        AddView(log, latest, LatestSnapshotEvery);
        AddView(log, enrolment, EnrolmentEvery);
        var types = new DeviceTypes(folder.DeviceTypes);
        var history = AddHistory(log, registry, types);
        if (OpenSqlTable() is { } table)
            AddView(log, SqlView(table, latest, registry), SqlCheckpointEvery);

        var decoder = new Decoder(new DecoderOptions { GasMeter = options.GasMeter, PayloadBytesMax = options.PayloadBytesMax });
        var context = new ListenerContext(log, admission, deadLetters, decoder, time, options.Security);
        AddUdp(context);
        AddTcp(context);
        AddMiddleware(context, latest, tokens);
        var (jobs, alerts) = AddJobs(log, database, deadLetters);
        AddHttp(context, log, registry, tokens, latest, devices, deadLetters, totals, history, types, jobs, alerts);
        return new Server(log, _listeners, _views, _background, _ledgers, totals, time, logs.CreateLogger("Millrace"), CloseAllAsync);
    }

    private Task<SegmentLog> OpenLogAsync()
    {
        if (!options.Log.Flush)
            ServerLog.FlushOff(logs.CreateLogger("Millrace"));
        return SegmentLog.OpenAsync(
            new LogOptions
            {
                Folder = folder.Log,
                Partitions = options.Log.Partitions,
                SegmentBytes = options.Log.SegmentBytes,
                RetentionAge = options.Log.RetentionAge,
                RetentionBytes = options.Log.RetentionBytes == 0 ? null : options.Log.RetentionBytes,
                ReserveBytes = options.Log.ReserveBytes,
            },
            options.Log.Flush ? PhysicalDisk.Instance : new UnflushedDisk(PhysicalDisk.Instance), time, logs.CreateLogger<SegmentLog>());
    }

    private void AddView(SegmentLog log, IReadingView view, TimeSpan checkpointEvery)
    {
        var runner = new ViewRunner(log, view, checkpointEvery, time, logs.CreateLogger<ViewRunner>());
        var hold = log.HoldFrom(() => runner.Position);
        _closing.Push(() => { hold.Dispose(); return ValueTask.CompletedTask; });
        _views.Add(runner);
    }

    private HistoryParts AddHistory(SegmentLog log, SqliteRegistry registry, DeviceTypes types)
    {
        ArchiveView? archive = null;
        if (options.History.Archive)
        {
            var writing = new ArchiveOptions
            {
                Declared = types.ColumnOf,
                Retention = options.History.ReadingsOf,
                LogRetention = options.Log.RetentionAge,
            };
            archive = new ArchiveView(HistoryStore(), writing, logs.CreateLogger<ArchiveView>(), time);
            AddView(log, archive, options.History.Flush);
        }

        var groups = Closing(new GroupRollupView(Path.Combine(folder.Views, "trends"), registry, logs.CreateLogger<GroupRollupView>(), time, options.History.MinutesOf));
        if (options.History.Trends)
            AddView(log, groups, TrendsEvery);
        var reader = archive is not null
            ? new ArchiveReader(HistoryStore(), fault => ServerLog.HistoryUnreadable(logs.CreateLogger("Millrace"), fault))
            : null;
        var readings = new DeviceReadings(log, reader);
        DeviceRollups? rollups = null;
        if (archive is not null && reader is not null)
        {
            rollups = new DeviceRollups(
                Path.Combine(folder.Views, "rollups"), reader, time, logs.CreateLogger<DeviceRollups>(),
                new QuarterHourRetention(options.History.ReadingsOf, options.History.QuarterHoursOf));
            _background.Add(rollups.RunAsync);
            _eraser = new HistoryEraser(archive, rollups);
        }

        return new HistoryParts(readings, new DeviceTrends(readings, rollups), groups, options.History.Archive ? "time" : "receivedAt");
    }

    /// <summary>One store for the archive and its readers: what it knows of manifests is then never older than the last commit.</summary>
    private IHistoryStore HistoryStore() => _historyStore ??= options.History.S3 is { } s3
        ? Closing(new S3HistoryStore(s3, Path.Combine(folder.Views, "history-uploads")))
        : new LocalHistoryStore(folder.History);

    private ISqlValueTable? OpenSqlTable()
    {
        var view = options.SqlView;
        var names = new SqlValueNames(view.Table, view.IdColumn, view.DataColumn);
        return view.Provider switch
        {
            "sqlite" => new SqliteValueTable(
                view.Connection.Length > 0 ? view.Connection : new SqliteConnectionStringBuilder { DataSource = folder.NewestValues }.ConnectionString, names),
            "postgres" => new PostgresValueTable(view.Connection, names),
            "mysql" => new MySqlValueTable(view.Connection, names),
            _ => null,
        };
    }

    private SqlValueView SqlView(ISqlValueTable table, ILatestReadings latest, SqliteRegistry registry) => new(
        table, latest,
        () => registry.AllIds().Where(device => device.Tenant == 0 && !device.Blocked).Select(device => device.Id),
        () => registry.EnrolmentPosition,
        Path.Combine(folder.Views, "sql.json"), options.SqlView.Writers, time, logs.CreateLogger<SqlValueView>());

    private void AddUdp(ListenerContext context)
    {
        var ledger = Ledger(ListenerId.Udp);
        if (options.Udp.Endpoint is not { } endpoint)
            return;
        var udp = new UdpListenerOptions
        {
            Endpoint = endpoint,
            AllowAnonymous = options.Udp.AllowAnonymous,
            QueueBytes = options.Udp.QueueBytes,
            ReadingsPerAddressPerSecond = options.RequestsPerAddressPerSecond,
        };
        _listeners.Add(Closing(new UdpListener(udp, context, ledger, logs.CreateLogger<UdpListener>())));
    }

    private void AddTcp(ListenerContext context)
    {
        var ledger = Ledger(ListenerId.Tcp);
        if (options.Tcp.Endpoint is not { } endpoint)
            return;
        var tcp = new TcpLineListenerOptions
        {
            Endpoint = endpoint,
            AllowAnonymous = options.Tcp.AllowAnonymous,
            QueueBytes = options.Tcp.QueueBytes,
            Acknowledge = options.Tcp.Acknowledge,
            Idle = options.Tcp.Idle,
            ConnectionsMax = options.Tcp.ConnectionsMax,
            ReadingsPerAddressPerSecond = options.RequestsPerAddressPerSecond,
        };
        _listeners.Add(Closing(new TcpLineListener(tcp, context, ledger, logs.CreateLogger<TcpLineListener>())));
    }

    private void AddMiddleware(ListenerContext context, ILatestReadings latest, ITokenStore tokens)
    {
        var ledger = Ledger(ListenerId.Middleware);
        if (options.Http.MiddlewareEndpoint is not { } endpoint)
            return;
        var middleware = new MiddlewareOptions
        {
            Endpoint = endpoint,
            AllowAnonymous = options.Http.MiddlewareAllowAnonymous,
            RequestsPerAddressPerSecond = options.RequestsPerAddressPerSecond,
            AllowedHosts = options.Http.AllowedHosts,
        };
        var listener = new MiddlewareListener(
            middleware, context.Log, ledger, context.Decoder, context.Admission, context.DeadLetters, latest, options.Security, tokens, time, logs);
        _closing.Push(listener.DisposeAsync);
        _listeners.Add(listener);
    }

    private void AddHttp(
        ListenerContext context, SegmentLog log, IDeviceRegistry registry, ITokenStore tokens, ILatestReadings latest, DeviceTable devices, DeadLetterStore deadLetters,
        ListenerTotals totals, HistoryParts history, DeviceTypes types, JobHost jobs, AlertBook alerts)
    {
        Ledger(ListenerId.Http);
        if (options.Http.Endpoint is null && options.Http.HttpsEndpoint is null)
            return;
        var web = new WebHost(
            new WebOptions
            {
                Endpoint = options.Http.Endpoint,
                HttpsEndpoint = options.Http.HttpsEndpoint,
                Certificate = options.Http.Certificate,
                Key = options.Http.Key,
                AllowedHosts = options.Http.AllowedHosts,
                Mode = options.Security,
                BodyBytesMax = options.Http.BodyBytesMax,
                ReadingBytesMax = options.PayloadBytesMax,
                RequestsPerAddressPerSecond = options.RequestsPerAddressPerSecond,
                DataFolder = folder.Path,
            },
            new WebParts
            {
                Log = context.Log,
                Registry = registry,
                Tokens = tokens,
                Decoder = context.Decoder,
                Admission = context.Admission,
                DeadLetters = deadLetters,
                DeadLetterStore = deadLetters,
                Latest = latest,
                Devices = devices,
                Ledgers = _ledgers,
                Views = () => [.. _views.Select(view => new ViewStatus(
                    view.Name, view.State.ToString().ToLowerInvariant(), view.Position, view.Skipped, view.LastError))],
                Totals = totals,
                History = history,
                Keeping = () => new LogKeeping(log.Bytes, options.Log.RetentionAge, options.Log.RetentionBytes == 0 ? null : options.Log.RetentionBytes),
                Types = types,
                Eraser = _eraser,
                Jobs = jobs,
                Alerts = alerts,
                Listeners = () => _listeners,
                Time = time,
                Logs = logs,
            });
        _closing.Push(web.DisposeAsync);
        _listeners.InsertRange(0, web.Listeners);
    }

    private (JobHost Jobs, AlertBook Alerts) AddJobs(SegmentLog log, SqliteDatabase database, DeadLetterStore deadLetters)
    {
        var alerts = new AlertBook(database, time);
        var services = new JobServices
        {
            Log = log,
            HoldLog = log.HoldFrom,
            Recorded = new RecordedInHistory(log, new ArchiveReader(HistoryStore(), missing => ServerLog.NotInHistory(logs.CreateLogger("Millrace"), missing))),
            Alerts = alerts,
            DeadLetters = deadLetters,
            Folder = folder.Jobs,
            Folders = new AllowedFolders(folder.Files, options.Jobs.Folders),
            Smtp = options.Jobs.Smtp,
            Dialects = [new MySqlDialect()],
            Time = time,
            Logs = logs,
        };
        var jobs = new JobHost(services);
        var watch = new ServerWatch(
            services, jobs,
            new ServerWatchOptions
            {
                DataFolder = folder.Path,
                Notify = options.Jobs.Notify,
                Views = () => _views.Select(view => (view.Name, view.LagReadings)),
                LogFailure = log.Failure,
            });
        _background.Add(jobs.RunAsync);
        _background.Add(watch.RunAsync);
        return (jobs, alerts);
    }

    private ListenerLedger Ledger(ListenerId id)
    {
        var ledger = new ListenerLedger(id);
        _ledgers.Add(ledger);
        return ledger;
    }

    private T Closing<T>(T part)
        where T : IDisposable
    {
        _closing.Push(() => { part.Dispose(); return ValueTask.CompletedTask; });
        return part;
    }

    /// <summary>Closes what was opened, the last first.</summary>
    private async ValueTask CloseAllAsync()
    {
        while (_closing.TryPop(out var close))
        {
            try
            {
                await close();
            }
            catch (Exception e)
            {
                // The others still have to be closed, the log above all.
                ServerLog.NotClosed(logs.CreateLogger("Millrace"), e);
            }
        }
    }
}
