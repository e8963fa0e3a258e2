using Microsoft.Extensions.Logging;
using Millrace.Codecs;
using Millrace.Core;
using Millrace.History.Types;
using Millrace.Jobs;
using Millrace.Processing.DeadLetters;
using Millrace.Processing.Latest;
using Millrace.Registry;
using Millrace.Registry.Alerts;

namespace Millrace.Web;

/// <summary>What the web reads from and writes to: everything is given, nothing is looked up.</summary>
public sealed record WebParts
{
    public required IReadingLog Log { get; init; }

    public required IDeviceRegistry Registry { get; init; }

    /// <summary>API and device tokens; may be absent only in open mode.</summary>
    public required ITokenStore Tokens { get; init; }

    public required Decoder Decoder { get; init; }

    public required IAdmission Admission { get; init; }

    public required IDeadLetters DeadLetters { get; init; }

    public required ILatestReadings Latest { get; init; }

    /// <summary>The books of every listener, this one's among them.</summary>
    public required IReadOnlyList<ListenerLedger> Ledgers { get; init; }

    /// <summary>The devices by when they were heard last; without it silent devices are found by asking one by one.</summary>
    public DeviceTable? Devices { get; init; }

    /// <summary>How the views stand now.</summary>
    public Func<IReadOnlyList<ViewStatus>> Views { get; init; } = () => [];

    /// <summary>How much the event log holds and for how long; null: status does not say.</summary>
    public Func<LogKeeping>? Keeping { get; init; }

    /// <summary>What the listeners counted since the data folder was made.</summary>
    public ListenerTotals? Totals { get; init; }

    /// <summary>Dead letters to look at and to send again; null when none are kept.</summary>
    public DeadLetterStore? DeadLetterStore { get; init; }

    /// <summary>Trends and the archive; null: history is what the log holds, by arrival.</summary>
    public HistoryParts? History { get; init; }

    /// <summary>Declarations of device types; null: the web opens the folder by itself.</summary>
    public DeviceTypes? Types { get; init; }

    /// <summary>Takes a device's readings out of the history; null when none is kept.</summary>
    public IReadingEraser? Eraser { get; init; }

    /// <summary>Stream SQL jobs; null: their routes do not exist.</summary>
    public JobHost? Jobs { get; init; }

    /// <summary>Alerts; null: their routes do not exist.</summary>
    public AlertBook? Alerts { get; init; }

    /// <summary>Endpoints of the other listeners by name, for status.</summary>
    public Func<IReadOnlyList<IListener>> Listeners { get; init; } = () => [];

    public TimeProvider Time { get; init; } = TimeProvider.System;

    public required ILoggerFactory Logs { get; init; }
}
