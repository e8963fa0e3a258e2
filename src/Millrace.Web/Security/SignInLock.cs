using System.Collections.Concurrent;
using System.Net;
using Millrace.Core;

namespace Millrace.Web.Security;

/// <summary>
/// Locks signing in from an address after repeated wrong tokens: five are free, then one minute, doubling to an hour.
/// Bounded; a right token clears the address. Thread-safe.
/// </summary>
internal sealed class SignInLock(TimeProvider time)
{
    public const int FreeFailures = 5;

    private const int AddressesMax = 10_000;
    private const long FirstLock = 60 * Micros.PerSecond;
    private const long LongestLock = 3600 * Micros.PerSecond;

    private readonly ConcurrentDictionary<IPAddress, (int Failures, long LockedUntil)> _addresses = new();

    /// <summary>Seconds until the address may try again; 0 is now.</summary>
    public int SecondsLeft(IPAddress address) =>
        _addresses.TryGetValue(address, out var entry) && entry.LockedUntil > time.Now()
            ? (int)((entry.LockedUntil - time.Now()) / Micros.PerSecond) + 1
            : 0;

    /// <summary>Counts a wrong token.</summary>
    /// <returns>The failures so far, and the seconds the address is locked for now.</returns>
    public (int Failures, int LockedSeconds) Fail(IPAddress address)
    {
        var now = time.Now();
        if (_addresses.Count >= AddressesMax)
        {
            foreach (var (old, entry) in _addresses)
            {
                if (entry.LockedUntil < now)
                    _addresses.TryRemove(old, out _);
            }
        }

        var after = _addresses.AddOrUpdate(address, _ => (1, 0), (_, entry) =>
        {
            var failures = entry.Failures + 1;
            var doublings = Math.Min(failures - FreeFailures, 10);
            return doublings < 0 ? (failures, 0) : (failures, now + Math.Min(FirstLock << doublings, LongestLock));
        });
        return (after.Failures, after.LockedUntil > now ? (int)((after.LockedUntil - now) / Micros.PerSecond) : 0);
    }

    public void Clear(IPAddress address) => _addresses.TryRemove(address, out _);
}
