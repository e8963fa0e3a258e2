namespace Millrace.Core;

/// <summary>Why a reading was refused. Names are metric labels and appear in answers; numbers are stored with totals.</summary>
public enum RejectReason
{
    None = 0,
    MissingSeparator,
    BadDeviceId,
    MissingDevice,
    EmptyPayload,
    TooLarge,
    InvalidUtf8,
    InvalidJson,
    NotAnObject,
    TooDeep,
    DuplicateKey,
    InvalidXml,
    InvalidForm,
    InvalidTime,
    Base64,
    Length,
    Unauthenticated,
    NotAllowed,
    EnrolmentLimit,
    UnknownDevice,
    DeviceBlocked,
    RateLimited,
    UnsupportedFormat,
    TooManyFields,
}

/// <summary>Why a reading was lost on the way. Never silently.</summary>
public enum DropReason
{
    /// <summary>The kernel's receive buffer overflowed (UDP).</summary>
    Kernel = 0,

    /// <summary>Our own bounded queue was full (UDP).</summary>
    Queue,

    /// <summary>The log did not accept: disk full.</summary>
    LogFull,

    /// <summary>The log did not accept: a write or flush failed.</summary>
    LogFailed,

    /// <summary>The sender gave up while its readings waited for room.</summary>
    Abandoned,
}

/// <summary>Reason names as they appear outside: snake_case.</summary>
public static class ReasonNames
{
    private static readonly string[] Rejects = [.. Enum.GetNames<RejectReason>().Select(Snake)];
    private static readonly string[] Drops = [.. Enum.GetNames<DropReason>().Select(Snake)];

    public static string Name(this RejectReason reason) => Rejects[(int)reason];

    public static string Name(this DropReason reason) => Drops[(int)reason];

    private static string Snake(string name) =>
        string.Concat(name.Select((c, i) => i > 0 && char.IsUpper(c) ? "_" + char.ToLowerInvariant(c) : char.ToLowerInvariant(c).ToString()));
}

/// <summary>
/// The books of one listener: received = stored + rejected(reason) + dropped(reason) + in flight, at every moment that
/// no other thread is between two of its lines. Thread-safe; call it per batch, not per reading, where that is possible.
/// </summary>
public sealed class ListenerLedger(ListenerId listener)
{
    private readonly long[] _rejected = new long[Enum.GetValues<RejectReason>().Length];
    private readonly long[] _dropped = new long[Enum.GetValues<DropReason>().Length];
    private long _received;
    private long _stored;
    private long _inFlight;

    public ListenerId Listener { get; } = listener;

    public long Received => Interlocked.Read(ref _received);
    public long Stored => Interlocked.Read(ref _stored);
    public long InFlight => Interlocked.Read(ref _inFlight);

    /// <summary>Counts readings that arrived, before anything else is decided about them.</summary>
    public void CountReceived(long readings) => Interlocked.Add(ref _received, readings);

    public void CountRejected(RejectReason reason, long readings = 1) => Interlocked.Add(ref _rejected[(int)reason], readings);

    public void CountDropped(DropReason reason, long readings = 1) => Interlocked.Add(ref _dropped[(int)reason], readings);

    /// <summary>Called by the log when it takes readings.</summary>
    public void EnterFlight(long readings) => Interlocked.Add(ref _inFlight, readings);

    /// <summary>Called by the log when readings are durable.</summary>
    public void LandStored(long readings)
    {
        Interlocked.Add(ref _stored, readings);
        Interlocked.Add(ref _inFlight, -readings);
    }

    /// <summary>Called by the log when readings in flight cannot be stored.</summary>
    public void LandDropped(DropReason reason, long readings)
    {
        Interlocked.Add(ref _dropped[(int)reason], readings);
        Interlocked.Add(ref _inFlight, -readings);
    }

    public long RejectedFor(RejectReason reason) => Interlocked.Read(ref _rejected[(int)reason]);

    public long DroppedFor(DropReason reason) => Interlocked.Read(ref _dropped[(int)reason]);

    public long RejectedTotal => _rejected.Sum();

    public long DroppedTotal => _dropped.Sum();
}
