using System.Net;
using Millrace.Codecs;
using Millrace.Core;
using Millrace.History.Archive;
using Millrace.Outputs.Email;

namespace Millrace.Settings;

/// <summary>Where and how HTTP is served.</summary>
internal sealed record HttpSettings(
    IPEndPoint? Endpoint, IPEndPoint? HttpsEndpoint, IPEndPoint? MiddlewareEndpoint, bool MiddlewareAllowAnonymous, string? Certificate, string? Key,
    IReadOnlyList<string> AllowedHosts, long BodyBytesMax);

/// <summary>One text listener.</summary>
internal sealed record TextListenerSettings(
    IPEndPoint? Endpoint, bool AllowAnonymous, long QueueBytes, bool Acknowledge, TimeSpan? Idle, int ConnectionsMax, bool EndpointConsented);

/// <summary>The event log.</summary>
internal sealed record LogSettings(
    int Partitions, long SegmentBytes, TimeSpan RetentionAge, long RetentionBytes, long ReserveBytes, bool Flush);

/// <summary>Devices and their enrolment.</summary>
internal sealed record DeviceSettings(Enrolment Enrolment, long Max, double ReadingsPerSecond);

/// <summary>The relational table of newest values; Provider is null when off.</summary>
internal sealed record SqlViewSettings(string? Provider, string Connection, string Table, string IdColumn, string DataColumn, int Writers);

/// <summary>Stream SQL jobs and alerts.</summary>
internal sealed record JobSettings(IReadOnlyList<string> Folders, IReadOnlyList<string> Notify, SmtpOptions Smtp);

/// <summary>Days that a tenant's past is kept, by its resolution; 0 for never going, of quarter-hours for going with the readings.</summary>
internal sealed record HistoryAges(int Readings, int QuarterHours, int Minutes);

/// <param name="Ages">Of tenants that have none of their own.</param>
/// <param name="S3">Where the files lie; null for the data folder.</param>
internal sealed record HistorySettings(
    bool Archive, bool Trends, TimeSpan Flush, HistoryAges Ages, IReadOnlyDictionary<ushort, HistoryAges> TenantAges, S3HistoryOptions? S3)
{
    /// <summary>Age at which a tenant's readings leave; null for never.</summary>
    public TimeSpan? ReadingsOf(ushort tenant) => Age(AgesOf(tenant).Readings);

    /// <summary>Age at which quarter-hours of a tenant's devices go; null: with the readings.</summary>
    public TimeSpan? QuarterHoursOf(ushort tenant) => Age(AgesOf(tenant).QuarterHours);

    /// <summary>Age at which minutes of a tenant's groups go; null for never.</summary>
    public TimeSpan? MinutesOf(ushort tenant) => Age(AgesOf(tenant).Minutes);

    private HistoryAges AgesOf(ushort tenant) => TenantAges.GetValueOrDefault(tenant, Ages);

    private static TimeSpan? Age(int days) => days > 0 ? TimeSpan.FromDays(days) : null;
}

/// <summary>Everything that can be set, read once at start.</summary>
internal sealed record ServerOptions(
    HttpSettings Http, TextListenerSettings Udp, TextListenerSettings Tcp, LogSettings Log, DeviceSettings Devices,
    SecurityMode Security, bool AllowOpen, SqlViewSettings SqlView, GasMeterVariant GasMeter, int PayloadBytesMax,
    double RequestsPerAddressPerSecond, bool JsonLogs, JobSettings Jobs, HistorySettings History)
{
    private const long GiB = 1L << 30;

    /// <summary>Reads every setting; the reader holds the mistakes.</summary>
    public static ServerOptions Read(OptionReader read)
    {
        var options = new ServerOptions(
            ReadHttp(read), ReadUdp(read), ReadTcp(read), ReadLog(read), ReadDevices(read),
            read.Choice("Security:Mode", SecurityMode.Open, "who may do what"),
            read.Flag("Security:AllowOpen", false, "consent to open mode on addresses other machines can reach"),
            ReadSqlView(read),
            read.Choice("Codecs:GasMeter", GasMeterVariant.Standard, "how gas-meter payloads are decoded; article reproduces a published mistake"),
            (int)read.Number("Codecs:PayloadBytesMax", 256 << 10, 64, 1 << 20, "largest payload of one reading, bytes"),
            read.Number("Security:RequestsPerAddressPerSecond", 0, 0, 1_000_000, "readings or requests per second taken from one address; 0 is no limit"),
            read.Choice("Logging:Format", LogFormat.Text, "form of log lines on stderr") == LogFormat.Json,
            ReadJobs(read),
            ReadHistory(read));
        options.CheckReach(read);
        return options;
    }

    private static HttpSettings ReadHttp(OptionReader read) => new(
        read.Endpoint("Http:Endpoint", "127.0.0.1:8080", "API, events and pages"),
        read.Endpoint("Https:Endpoint", "off", "the same over TLS"),
        read.Endpoint("Listeners:Middleware:Endpoint", "127.0.0.1:5000", "the producer/worker/consumer middleware API"),
        read.Flag("Listeners:Middleware:AllowAnonymous", false, "take heartbeats without a token in token mode"),
        read.OptionalText("Https:Certificate", "certificate file, PEM or PFX; without one a self-made certificate is kept in the data folder"),
        read.OptionalText("Https:Key", "private key file of a PEM certificate"),
        read.List("Http:AllowedHosts", "further host names under which the server is reached"),
        read.Number("Http:BodyBytesMax", 16 << 20, 1024, 1 << 30, "largest request body, bytes"));

    private static TextListenerSettings ReadUdp(OptionReader read) => new(
        read.Endpoint("Listeners:Udp:Endpoint", "127.0.0.1:9999", "UDP text and JSON"),
        read.Flag("Listeners:Udp:AllowAnonymous", false, "take datagrams in token mode, stored as not authenticated"),
        read.Number("Listeners:Udp:QueueBytes", 64 << 20, 1 << 20, 4 * GiB, "bytes that may wait for a stalled disk"),
        Acknowledge: false, Idle: null, ConnectionsMax: 0,
        read.Flag(NbIotServerConfig.UdpConsentKey, false, "set by server.config: its ipaddress is consent for this endpoint"));

    private static TextListenerSettings ReadTcp(OptionReader read)
    {
        var idleSeconds = read.Number("Listeners:Tcp:IdleSeconds", 0, 0, 86_400 * 30, "close a connection silent for so long; 0 is never");
        return new(
            read.Endpoint("Listeners:Tcp:Endpoint", "127.0.0.1:8090", "TCP lines"),
            read.Flag("Listeners:Tcp:AllowAnonymous", false, "take lines in token mode, stored as not authenticated"),
            read.Number("Listeners:Tcp:QueueBytes", 32 << 20, 1 << 20, 4 * GiB, "bytes that may wait for the disk before connections are held back"),
            read.Flag("Listeners:Tcp:Acknowledge", false, "answer every line, without the client asking by ACK"),
            idleSeconds == 0 ? null : TimeSpan.FromSeconds(idleSeconds),
            (int)read.Number("Listeners:Tcp:ConnectionsMax", 10_000, 1, 1_000_000, "connections at once; the longest idle goes first"),
            EndpointConsented: false);
    }

    private static LogSettings ReadLog(OptionReader read) => new(
        (int)read.Number("Log:Partitions", 8, 1, 1024, "partitions; fixed when the data folder is made"),
        read.Number("Log:SegmentBytes", 256 << 20, 1 << 20, 16 * GiB, "size at which a segment file is sealed, bytes"),
        TimeSpan.FromHours(read.Number("Log:Retention:Hours", 168, 1, 87_600, "age at which readings leave the log, hours")),
        read.Number("Log:Retention:Bytes", 0, 0, long.MaxValue, "size budget of the log, bytes; 0 is half the disk"),
        read.Number("Log:ReserveBytes", 256 << 20, 1 << 20, 64 * GiB, "free space below which the log takes nothing more, bytes"),
        read.Flag("Log:Flush", true, "flush to the disk before acknowledging; false is for measuring only and loses readings"));

    private static DeviceSettings ReadDevices(OptionReader read) => new(
        read.Choice("Devices:Enrolment", Enrolment.Open, "whether unknown ids become devices by their first reading"),
        read.Number("Devices:Max", 2_000_000, 1, 100_000_000, "devices at most; readings of further ids are rejected"),
        read.Number("Devices:ReadingsPerSecond", 0, 0, 1_000_000, "readings per second taken from one device; 0 is no limit"));

    private static SqlViewSettings ReadSqlView(OptionReader read)
    {
        var provider = read.Choice("SqlView:Provider", SqlProvider.Off, "database that is kept up to date with newest values");
        var view = new SqlViewSettings(
            provider == SqlProvider.Off ? null : provider.ToString().ToLowerInvariant(),
            read.Text("SqlView:Connection", "", "ADO.NET connection string; for sqlite a file below the data folder when empty"),
            read.Text("SqlView:Table", "IOTHardwareInUse", "table"),
            read.Text("SqlView:IdColumn", "HardwareID", "column of the device id"),
            read.Text("SqlView:DataColumn", "Data", "column of the newest value"),
            (int)read.Number("SqlView:Writers", 4, 1, 256, "connections writing in parallel; a device always uses the same one"));
        if (provider is SqlProvider.MySql or SqlProvider.Postgres && view.Connection.Length == 0)
            read.Fail("SqlView:Connection", $"is needed for provider {view.Provider}");
        return view;
    }

    private static HistorySettings ReadHistory(OptionReader read)
    {
        var archive = read.Flag("History:Archive", true, "keep every reading as Parquet below the data folder");
        var trends = read.Flag("History:Trends", true, "keep minutes of every numeric field for the fleet, each type and each tag");
        var flush = TimeSpan.FromSeconds(read.Number("History:FlushSeconds", 60, 1, 3600, "readings are in files of the history after so long, or when 48 MB wait"));
        var days = (int)read.Number("History:Retention:Days", 0, 0, 36_500, "age at which readings leave the history, days; 0 is never");
        var ages = new HistoryAges(
            days,
            (int)read.Number("History:Retention:QuarterHourDays", 0, 0, 36_500, "age at which quarter-hours of devices go, days; 0 is with the readings"),
            (int)read.Number("History:Retention:MinuteDays", 0, 0, 36_500, "age at which minutes of fleet, types and tags go, days; 0 is never"));
        var tenants = new Dictionary<ushort, HistoryAges>();
        foreach (var entry in read.List("History:Retention:Tenants", "other ages for single tenants, as TENANT=DAYS or TENANT=DAYS/QUARTERHOURDAYS/MINUTEDAYS"))
        {
            var parts = entry.Split('=', '/');
            var own = parts.Skip(1).Select(part => int.TryParse(part, out var age) && age is >= 0 and <= 36_500 ? age : -1).ToList();
            if (own.Count is not (1 or 3) || own.Contains(-1) || !ushort.TryParse(parts[0], out var tenant))
                read.Fail("History:Retention:Tenants", $"'{entry}' is not TENANT=DAYS or TENANT=DAYS/QUARTERHOURDAYS/MINUTEDAYS, such as 3=30/400/90");
            else
                tenants[tenant] = own.Count == 1 ? ages with { Readings = own[0] } : new HistoryAges(own[0], own[1], own[2]);
        }

        var s3 = new S3HistoryOptions
        {
            Bucket = read.Text("History:S3:Bucket", "", "bucket of an S3-compatible store that the history lies in; the data folder's history/ when empty"),
            Endpoint = read.Text("History:S3:Endpoint", "", "address of the store, as http://host:port; Amazon's own when empty"),
            Region = read.Text("History:S3:Region", "us-east-1", "its region"),
            Prefix = read.Text("History:S3:Prefix", "history/", "what every name there begins with; one server's history alone lies there"),
            AccessKey = read.Text("History:S3:AccessKey", "", "login; the environment's credentials when empty"),
            SecretKey = read.Text("History:S3:SecretKey", "", "secret of the login"),
            IsSimple = read.Flag("History:S3:Simple", false, "for servers that know neither chunked signatures nor checksums in requests"),
        };
        return new HistorySettings(archive, trends, flush, ages, tenants, s3.Bucket.Length > 0 ? s3 : null);
    }

    private static JobSettings ReadJobs(OptionReader read)
    {
        var smtp = new SmtpOptions
        {
            Host = read.Text("Smtp:Host", "", "mail server; without one no mail is sent"),
            Port = (int)read.Number("Smtp:Port", 587, 1, 65_535, "its port"),
            Security = read.Choice("Smtp:Security", SmtpSecurity.StartTls, "encryption; tls is from the first byte, usually port 465"),
            User = read.Text("Smtp:User", "", "login; none when empty"),
            Password = read.Text("Smtp:Password", "", "password of the login"),
            From = read.Text("Smtp:From", "", "address mails come from"),
            TrustedCertificate = read.Text("Smtp:TrustedCertificate", "", "certificate (PEM file) trusted besides the system's"),
        };
        if (smtp.Host.Length > 0 && !MailAddresses.IsValid(smtp.From))
            read.Fail("Smtp:From", smtp.From.Length == 0 ? "is needed with Smtp:Host" : $"'{smtp.From}' is not a mail address");
        return new JobSettings(
            read.List("Jobs:Folders", "folders besides the data folder's files/ in which jobs may read and write files"),
            read.List("Alerts:Notify", "mail or web addresses told of the server's own alerts"), smtp);
    }

    /// <summary>Open mode is for loopback; anything else needs tokens or a plain word of consent.</summary>
    private void CheckReach(OptionReader read)
    {
        if (Security != SecurityMode.Open || AllowOpen)
            return;
        Check("Http:Endpoint", Http.Endpoint);
        Check("Https:Endpoint", Http.HttpsEndpoint);
        Check("Listeners:Middleware:Endpoint", Http.MiddlewareEndpoint);
        Check("Listeners:Tcp:Endpoint", Tcp.Endpoint);
        if (!Udp.EndpointConsented)
            Check("Listeners:Udp:Endpoint", Udp.Endpoint);

        void Check(string key, IPEndPoint? endpoint)
        {
            if (endpoint is not null && !IPAddress.IsLoopback(endpoint.Address))
                read.Fail(key, $"{endpoint} can be reached by other machines while Security:Mode is open; set Security:Mode=token, or Security:AllowOpen=true if you mean it");
        }
    }
}


internal enum LogFormat
{
    Text,
    Json,
}

internal enum SqlProvider
{
    Off,
    Sqlite,
    Postgres,
    MySql,
}
