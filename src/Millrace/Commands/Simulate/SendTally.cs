using System.Collections.Concurrent;

namespace Millrace.Commands.Simulate;

/// <summary>What a fleet has sent and what came back. Thread-safe; written per batch.</summary>
internal sealed class SendTally
{
    private readonly ConcurrentDictionary<string, long> _refusals = new();
    private long _sent;
    private long _bytes;
    private long _acknowledged;
    private long _rejected;
    private long _sentAgain;
    private long _sendErrors;
    private long _reconnects;

    public long Sent => Interlocked.Read(ref _sent);
    public long Bytes => Interlocked.Read(ref _bytes);
    public long Acknowledged => Interlocked.Read(ref _acknowledged);
    public long Rejected => Interlocked.Read(ref _rejected);

    /// <summary>Readings sent more than once because their answer was lost with a connection.</summary>
    public long SentAgain => Interlocked.Read(ref _sentAgain);

    public long SendErrors => Interlocked.Read(ref _sendErrors);
    public long Reconnects => Interlocked.Read(ref _reconnects);
    public LatencyHistogram Latency { get; } = new();
    public IEnumerable<KeyValuePair<string, long>> Refusals => _refusals.OrderByDescending(pair => pair.Value);

    public void CountSent(long readings, long bytes)
    {
        Interlocked.Add(ref _sent, readings);
        Interlocked.Add(ref _bytes, bytes);
    }

    public void CountAcknowledged(long readings) => Interlocked.Add(ref _acknowledged, readings);

    public void CountRejected(string reason, long readings = 1)
    {
        Interlocked.Add(ref _rejected, readings);
        _refusals.AddOrUpdate(reason, readings, (_, before) => before + readings);
    }

    public void CountSentAgain(long readings) => Interlocked.Add(ref _sentAgain, readings);

    public void CountSendError() => Interlocked.Increment(ref _sendErrors);

    public void CountReconnect() => Interlocked.Increment(ref _reconnects);
}
