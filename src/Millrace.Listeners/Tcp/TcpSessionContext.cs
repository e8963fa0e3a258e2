using System.Collections.Concurrent;
using Millrace.Codecs;
using Millrace.Core;

namespace Millrace.Listeners.Tcp;

/// <summary>What all connections of the listener share. Thread-safe.</summary>
internal sealed class TcpSessionContext(TcpLineListenerOptions options, ListenerContext context, ListenerLedger ledger)
{
    /// <summary>Batches kept for reuse: about as many as are in the log's hands at once.</summary>
    private const int SpareBatchesMax = 64;

    [ThreadStatic]
    private static byte[]? _idBufferOfThread;

    private readonly ConcurrentBag<ReadingBatch> _spare = [];
    private long _unfinishedBytes;

    public static byte[] IdBufferOfThread => _idBufferOfThread ??= new byte[Decoder.IdBufferBytes];

    public TcpLineListenerOptions Options { get; } = options;
    public ListenerContext Context { get; } = context;
    public ListenerLedger Ledger { get; } = ledger;
    public ILogAppender Appender { get; } = context.Log.OpenAppender(ledger, options.QueueBytes);
    public DeadLetterGate DeadLetters { get; } = new(context, ListenerId.Tcp);
    public AddressRates? Rates { get; } = AddressRates.Of(options.ReadingsPerAddressPerSecond, context.Time);
    public bool RefuseAll { get; } = context.Security == SecurityMode.Token && !options.AllowAnonymous;

    public ReadingBatch RentBatch() => _spare.TryTake(out var batch) ? batch : new ReadingBatch(Context.Log.PartitionCount);

    public void ReturnBatch(ReadingBatch batch)
    {
        batch.Clear();
        if (_spare.Count < SpareBatchesMax)
            _spare.Add(batch);
    }

    /// <summary>
    /// Accounts for buffers that hold unfinished lines while their connections wait. Each may be 64 KiB; ten thousand slow
    /// senders together may not.
    /// </summary>
    /// <returns>False when it is too much: the connection that asked must go.</returns>
    public bool TryHold(int bytes)
    {
        if (Interlocked.Add(ref _unfinishedBytes, bytes) <= Options.QueueBytes)
            return true;
        Interlocked.Add(ref _unfinishedBytes, -bytes);
        return false;
    }

    public void LetGo(int bytes) => Interlocked.Add(ref _unfinishedBytes, -bytes);
}
