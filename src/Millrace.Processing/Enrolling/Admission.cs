using Millrace.Core;
using Millrace.Processing.Latest;

namespace Millrace.Processing.Enrolling;

/// <summary>What <see cref="Admission"/> goes by.</summary>
public sealed record AdmissionOptions
{
    public Enrolment Enrolment { get; init; } = Enrolment.Open;

    /// <summary>Readings per second taken from one device; 0 is no limit.</summary>
    public double ReadingsPerSecond { get; init; }
}

/// <summary>
/// Admission over the device table. Hot: while enrolment is open, nothing is blocked and the limit is far, a reading costs
/// a few comparisons and no look-up. Near the limit every id is looked up, and ids that were let in but are not in the
/// table yet are remembered, so that readings in flight cannot overrun the limit.
/// </summary>
public sealed class Admission : IAdmission
{
    /// <summary>Calls of one thread between two looks at how far the limit is.</summary>
    private const int CallsPerLook = 1024;

    /// <summary>Room that must be left beyond everything on its way: what 64 threads may let in between two looks.</summary>
    private const long FarMin = 64 * CallsPerLook;

    /// <summary>A remembered id whose reading never came into the log is forgotten after this.</summary>
    private const long RememberedMax = 60 * Micros.PerSecond;

    [ThreadStatic]
    private static int callsLeft;

    private readonly DeviceTable _table;
    private readonly IReadingLog _log;
    private readonly ILatestReadings _latest;
    private readonly IReadOnlyCollection<ListenerLedger> _ledgers;
    private readonly Enrolment _enrolment;
    private readonly TimeProvider _time;
    private readonly DeviceRateLimit? _rateLimit;
    private readonly Lock _gate = new();
    private readonly Dictionary<ulong, Admitted> _admitted = [];
    private volatile bool _far;
    private long _sweptAtCount = -1;
    private long _sweptAt;

    private readonly record struct Admitted(ushort Tenant, byte[] Id, long At);

    /// <param name="ledgers">Of all listeners: what is in flight may be new devices.</param>
    public Admission(
        DeviceTable table, IReadingLog log, ILatestReadings latest, IReadOnlyCollection<ListenerLedger> ledgers, AdmissionOptions options, TimeProvider time)
    {
        ArgumentNullException.ThrowIfNull(options);
        (_table, _log, _latest, _ledgers, _time) = (table, log, latest, ledgers, time);
        _enrolment = options.Enrolment;
        if (options.ReadingsPerSecond > 0)
            _rateLimit = new DeviceRateLimit(options.ReadingsPerSecond, time);
        LookAtLimit();
    }

    public RejectReason Admit(in Sender sender, ReadOnlySpan<byte> id)
    {
        if (!sender.DeviceId.IsEmpty && !sender.DeviceId.Span.SequenceEqual(id))
            return RejectReason.NotAllowed;

        var fast = IsLimitFar() && _enrolment == Enrolment.Open && _table.BlockedCount == 0;
        if (!fast && LookUp(sender.Tenant, id) is not RejectReason.None and var refused)
            return refused;
        return _rateLimit is null || _rateLimit.TryTake(DeviceIds.Hash(sender.Tenant, id)) ? RejectReason.None : RejectReason.RateLimited;
    }

    private bool IsLimitFar()
    {
        if (--callsLeft <= 0)
        {
            callsLeft = CallsPerLook;
            LookAtLimit();
        }

        return _far;
    }

    /// <summary>Every reading on its way counts as a new device: the table will know better when it has seen it.</summary>
    private void LookAtLimit()
    {
        long inFlight = 0;
        foreach (var ledger in _ledgers)
            inFlight += ledger.InFlight;
        _far = _table.Count + _latest.Position.LagBehind(_log.Durable) + inFlight + FarMin < _table.Max;
    }

    private RejectReason LookUp(ushort tenant, ReadOnlySpan<byte> id) => _table.Standing(tenant, id) switch
    {
        DeviceStanding.Known => RejectReason.None,
        DeviceStanding.Blocked => RejectReason.DeviceBlocked,
        _ when _enrolment == Enrolment.Registered => RejectReason.UnknownDevice,
        _ when _far => RejectReason.None,
        _ => LetIn(tenant, id) ? RejectReason.None : RejectReason.EnrolmentLimit,
    };

    private bool LetIn(ushort tenant, ReadOnlySpan<byte> id)
    {
        var hash = DeviceIds.Hash(tenant, id);
        lock (_gate)
        {
            if (_admitted.ContainsKey(hash))
                return true;
            if (_table.Count + _admitted.Count >= _table.Max)
                Sweep();
            if (_table.Count + _admitted.Count >= _table.Max)
                return false;
            _admitted[hash] = new Admitted(tenant, id.ToArray(), _time.Now());
            return true;
        }
    }

    /// <summary>Forgets ids that are in the table by now; at most once per second while the table stands still.</summary>
    private void Sweep()
    {
        var (count, now) = (_table.Count, _time.Now());
        if (_admitted.Count == 0 || count == _sweptAtCount && now - _sweptAt < Micros.PerSecond)
            return;
        foreach (var (hash, admitted) in _admitted)
        {
            if (now - admitted.At > RememberedMax || _table.Standing(admitted.Tenant, admitted.Id) != DeviceStanding.Unknown)
                _admitted.Remove(hash);
        }

        (_sweptAtCount, _sweptAt) = (count, now);
    }
}
