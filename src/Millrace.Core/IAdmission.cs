namespace Millrace.Core;

/// <summary>
/// Decides per reading, before it is appended, whether the device may be recorded. Hot: constant time, no allocation, no
/// I/O. Thread-safe. Implemented over the in-memory device table; listeners ask it for every reading.
/// </summary>
public interface IAdmission
{
    /// <summary>Admits or refuses a reading of a device.</summary>
    /// <param name="sender">Who sends: a device token may send only for its own device and tenant.</param>
    /// <returns><see cref="RejectReason.None"/>, <see cref="RejectReason.NotAllowed"/>, <see cref="RejectReason.EnrolmentLimit"/>,
    /// <see cref="RejectReason.UnknownDevice"/> (enrolment is registered), <see cref="RejectReason.DeviceBlocked"/> or
    /// <see cref="RejectReason.RateLimited"/>.</returns>
    RejectReason Admit(in Sender sender, ReadOnlySpan<byte> id);
}

/// <summary>Who sends readings, as established by the listener.</summary>
/// <param name="Tenant">The tenant its readings belong to; 0 is the default tenant.</param>
/// <param name="Authenticated">A token proved the identity.</param>
/// <param name="DeviceId">The only device it may send for; empty: any.</param>
public readonly record struct Sender(ushort Tenant, bool Authenticated, ReadOnlyMemory<byte> DeviceId)
{
    public static Sender Anonymous => default;

    public ReadingFlags Flags => Authenticated ? ReadingFlags.Authenticated : ReadingFlags.None;
}
