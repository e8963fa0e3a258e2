using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;

namespace Millrace.Listeners;

/// <summary>
/// Limits readings, or requests, per second from one address: a bucket of one second's worth for each, refilled as time goes by. Bounded:
/// with more addresses than it can remember it forgets them all, which errs on the side of the senders. Thread-safe.
/// </summary>
public sealed class AddressRates(double perSecond, TimeProvider time)
{
    private const int AddressesMax = 65_536;

    private readonly Lock _gate = new();
    private readonly Dictionary<UInt128, Bucket> _buckets = [];

    private struct Bucket
    {
        public double Tokens;
        public long At;
    }

    /// <summary>Null when there is no limit.</summary>
    public static AddressRates? Of(double perSecond, TimeProvider time) => perSecond > 0 ? new AddressRates(perSecond, time) : null;

    /// <summary>The key of an address; IPv4 in its IPv6 form, so that one sender has one key.</summary>
    public static UInt128 KeyOf(IPAddress address)
    {
        Span<byte> bytes = stackalloc byte[16];
        (address.AddressFamily == AddressFamily.InterNetwork ? address.MapToIPv6() : address).TryWriteBytes(bytes, out _);
        return MemoryMarshal.Read<UInt128>(bytes);
    }

    public bool TryTake(IPAddress address) => TryTake(KeyOf(address));

    /// <summary>Takes one from the address; false when it has to wait.</summary>
    public bool TryTake(UInt128 address)
    {
        var now = time.GetTimestamp();
        lock (_gate)
        {
            if (_buckets.Count >= AddressesMax)
                _buckets.Clear();
            ref var bucket = ref CollectionsMarshal.GetValueRefOrAddDefault(_buckets, address, out var known);
            var burst = Math.Max(1, perSecond);
            bucket.Tokens = known ? Math.Min(burst, bucket.Tokens + (time.GetElapsedTime(bucket.At, now).TotalSeconds * perSecond)) : burst;
            bucket.At = now;
            if (bucket.Tokens < 1)
                return false;
            bucket.Tokens--;
            return true;
        }
    }
}
