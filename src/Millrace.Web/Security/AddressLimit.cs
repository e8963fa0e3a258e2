using System.Collections.Concurrent;
using System.Net;

namespace Millrace.Web.Security;

/// <summary>
/// A limit of requests per second and client address: a bucket that holds one second's worth. Bounded: when too many
/// addresses are known, full buckets are forgotten first, which changes nothing for them. Thread-safe.
/// </summary>
internal sealed class AddressLimit(double perSecond, TimeProvider time)
{
    private const int AddressesMax = 100_000;

    private readonly ConcurrentDictionary<IPAddress, Bucket> _buckets = new();

    private sealed class Bucket
    {
        public double Tokens;
        public long At;
    }

    /// <summary>Takes one request from the address; false when it has to wait.</summary>
    public bool TryTake(IPAddress address)
    {
        var capacity = Math.Max(1, perSecond);
        var now = time.GetTimestamp();
        if (!_buckets.TryGetValue(address, out var bucket))
        {
            if (_buckets.Count >= AddressesMax)
                Forget(now, capacity);
            bucket = _buckets.GetOrAdd(address, new Bucket { Tokens = capacity, At = now });
        }

        lock (bucket)
        {
            bucket.Tokens = Math.Min(capacity, bucket.Tokens + time.GetElapsedTime(bucket.At, now).TotalSeconds * perSecond);
            bucket.At = now;
            if (bucket.Tokens < 1)
                return false;
            bucket.Tokens--;
            return true;
        }
    }

    private void Forget(long now, double capacity)
    {
        foreach (var (address, bucket) in _buckets)
        {
            if (time.GetElapsedTime(bucket.At, now).TotalSeconds * perSecond >= capacity)
                _buckets.TryRemove(address, out _);
        }
    }
}
