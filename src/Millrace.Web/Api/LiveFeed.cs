using System.Collections.Concurrent;
using System.Threading.Channels;
using Millrace.Core;

namespace Millrace.Web.Api;

/// <summary>
/// Follows the tail of the log for everybody who watches a device: one reader for all of them, running only while somebody
/// watches. A watcher that cannot keep up is told so and reads on from the log by itself.
/// </summary>
internal sealed class LiveFeed(IReadingLog log, CancellationToken leaving)
{
    private readonly Lock _gate = new();
    private readonly ConcurrentDictionary<(ushort Tenant, ulong Hash), Watcher[]> _watchers = new();
    private int _count;
    private Task? _following;

    /// <summary>Starts watching; everything durable from now on reaches the watcher or marks it as behind.</summary>
    public Watcher Watch(ushort tenant, byte[] id)
    {
        var key = (tenant, DeviceIds.Hash(tenant, id));
        var watcher = new Watcher(this, key, id);
        lock (_gate)
        {
            _watchers.AddOrUpdate(key, _ => [watcher], (_, held) => [.. held, watcher]);
            _count++;
            _following ??= FollowAsync(log.OpenReader(log.Durable));
        }

        return watcher;
    }

    private void Leave(Watcher watcher)
    {
        lock (_gate)
        {
            var left = _watchers[watcher.Key].Where(w => w != watcher).ToArray();
            if (left.Length > 0)
                _watchers[watcher.Key] = left;
            else
                _watchers.TryRemove(watcher.Key, out _);
            _count--;
        }
    }

    /// <summary>Ends at the first block that nobody watches for, or when the server stops.</summary>
    private async Task FollowAsync(ILogReader reader)
    {
        await Task.Yield();                 // the caller holds the gate
        try
        {
            using (reader)
            {
                while (true)
                {
                    HandOut(await reader.ReadAsync(leaving));
                    lock (_gate)
                    {
                        if (_count > 0)
                            continue;
                        _following = null;
                        return;
                    }
                }
            }
        }
        catch (Exception error) when (error is OperationCanceledException or IOException or ObjectDisposedException)
        {
            // The server stops, or the log cannot be read here: the watchers read on by themselves and find out.
            foreach (var watcher in _watchers.Values.SelectMany(w => w))
                watcher.FallBehind();
            lock (_gate)
                _following = null;
        }
    }

    /// <summary>Hot while somebody watches: a hash and a look-up per reading, a copy only for watched devices.</summary>
    private void HandOut(LogBlock block)
    {
        foreach (var record in block)
        {
            if (!_watchers.TryGetValue((record.Tenant, DeviceIds.Hash(record.Tenant, record.Id)), out var watchers))
                continue;
            foreach (var watcher in watchers)
            {
                if (record.Id.SequenceEqual(watcher.Id))
                    watcher.Offer(new WatchedReading(record.Bytes.ToArray(), block.Partition, record.Sequence, record.ReceivedAt));
            }
        }
    }

    /// <summary>One who watches one device.</summary>
    internal sealed class Watcher(LiveFeed feed, (ushort Tenant, ulong Hash) key, byte[] id) : IDisposable
    {
        /// <summary>Readings that may wait for a slow browser before it has to read from the log.</summary>
        private const int Waiting = 256;

        private readonly Channel<WatchedReading> _channel =
            Channel.CreateBounded<WatchedReading>(new BoundedChannelOptions(Waiting) { SingleReader = true, SingleWriter = true });

        private volatile bool _behind;

        public (ushort Tenant, ulong Hash) Key => key;

        public byte[] Id => id;

        public ChannelReader<WatchedReading> Readings => _channel.Reader;

        /// <summary>Whether readings were left out; cleared by the call.</summary>
        public bool TakeBehind()
        {
            var was = _behind;
            _behind = false;
            return was;
        }

        public void Offer(WatchedReading reading)
        {
            if (!_channel.Writer.TryWrite(reading))
                _behind = true;
        }

        public void FallBehind() => _behind = true;

        public void Dispose() => feed.Leave(this);
    }
}

/// <summary>A copy of a record on its way to a watcher.</summary>
internal sealed record WatchedReading(byte[] Record, int Partition, long Sequence, long ReceivedAt);
