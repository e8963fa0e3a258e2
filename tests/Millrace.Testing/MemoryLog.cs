using Millrace.Core;

namespace Millrace.Testing;

/// <summary>An event log in memory for tests of the stages around it: durable at once, or when the test releases it.</summary>
public sealed class MemoryLog(int partitions = 4, TimeProvider? time = null) : IReadingLog
{
    private readonly Lock _gate = new();
    private readonly List<LogBlock> _blocks = [];
    private readonly TimeProvider _time = time ?? TimeProvider.System;
    private TaskCompletionSource _grown = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private TaskCompletionSource? _held;
    private long _lastReceivedAt;

    public int PartitionCount { get; } = partitions;

    public LogState State { get; set; }

    public string? StateDetail { get; set; }

    public PositionVector Durable { get; } = new(partitions);

    public PositionVector Oldest { get; } = new(partitions);

    public long ArrivalLowWater => _lastReceivedAt;

    /// <summary>Every stored reading as (id, payload text), in journal order.</summary>
    public IReadOnlyList<(string Id, string Payload)> Readings
    {
        get
        {
            List<(string, string)> all = [];
            lock (_gate)
            {
                foreach (var block in _blocks)
                {
                    foreach (var record in block)
                        all.Add((System.Text.Encoding.UTF8.GetString(record.Id), System.Text.Encoding.UTF8.GetString(record.Payload)));
                }
            }

            return all;
        }
    }

    public IReadOnlyList<LogBlock> Blocks
    {
        get
        {
            lock (_gate)
                return [.. _blocks];
        }
    }

    /// <summary>Forgets the oldest blocks, as retention does.</summary>
    public void ForgetBlocks(int count)
    {
        lock (_gate)
        {
            foreach (var block in _blocks.Take(count))
                Oldest[block.Partition] = block.NextSequence;
            _blocks.RemoveRange(0, count);
        }
    }

    /// <summary>Ends the log earlier, as one restored from a backup does.</summary>
    public void ForgetNewest(int count)
    {
        lock (_gate)
        {
            foreach (var block in _blocks[^count..])
                Durable[block.Partition] = Math.Min(Durable[block.Partition], block.FirstSequence);
            _blocks.RemoveRange(_blocks.Count - count, count);
            _lastReceivedAt = _blocks.Count > 0 ? _blocks[^1].LastReceivedAt : 0;
        }
    }

    /// <summary>Makes appends wait, as on a disk that stalls, until <see cref="Release"/>.</summary>
    public void Hold() => _held = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);

    public void Release()
    {
        var held = _held;
        _held = null;
        held?.SetResult();
    }

    public ILogAppender OpenAppender(ListenerLedger ledger, long pendingBytesMax) => new Appender(this, ledger, pendingBytesMax);

    public ILogReader OpenReader(PositionVector from) => new Reader(this, from.Copy());

    public PositionVector PositionAt(long receivedAt)
    {
        var at = Durable.Copy();
        foreach (var block in Blocks.Reverse())
        {
            if (block.LastReceivedAt >= receivedAt)
                at[block.Partition] = block.FirstSequence + Math.Max(0, receivedAt - block.FirstReceivedAt);
        }

        return at;
    }

    private void Store(ReadingBatch batch)
    {
        lock (_gate)
        {
            for (var p = 0; p < PartitionCount; p++)
            {
                if (batch.CountOf(p) == 0)
                    continue;
                var first = Math.Max(_time.Now(), _lastReceivedAt + 1);
                var block = new LogBlock(p, Durable[p], batch.CountOf(p), first, batch.RecordsOf(p).ToArray());
                batch.SetFirstSequence(p, block.FirstSequence);
                _blocks.Add(block);
                _lastReceivedAt = block.LastReceivedAt;
                Durable[p] = block.NextSequence;
            }

            var grown = _grown;
            _grown = new(TaskCreationOptions.RunContinuationsAsynchronously);
            grown.SetResult();
        }
    }

    private sealed class Appender(MemoryLog log, ListenerLedger ledger, long pendingBytesMax) : ILogAppender
    {
        private long _pending;

        public bool TryAppend(ReadingBatch batch)
        {
            if (log.State != LogState.Accepting || Interlocked.Read(ref _pending) + batch.Bytes > pendingBytesMax)
                return false;
            ledger.EnterFlight(batch.Count);
            if (log._held is { } held)
            {
                Interlocked.Add(ref _pending, batch.Bytes);
                var copy = Copy(batch);
                _ = held.Task.ContinueWith(_ => { log.Store(copy); ledger.LandStored(copy.Count); Interlocked.Add(ref _pending, -copy.Bytes); }, TaskScheduler.Default);
                return true;
            }

            log.Store(batch);
            ledger.LandStored(batch.Count);
            return true;
        }

        public async ValueTask AppendAsync(ReadingBatch batch, CancellationToken cancel)
        {
            if (log.State != LogState.Accepting)
            {
                ledger.CountDropped(log.State == LogState.Full ? DropReason.LogFull : DropReason.LogFailed, batch.Count);
                throw new LogUnavailableException(log.State, log.StateDetail ?? "the log does not accept");
            }

            ledger.EnterFlight(batch.Count);
            if (log._held is { } held)
                await held.Task;
            log.Store(batch);
            ledger.LandStored(batch.Count);
        }

        private static ReadingBatch Copy(ReadingBatch batch)
        {
            var copy = new ReadingBatch(batch.PartitionCount);
            for (var p = 0; p < batch.PartitionCount; p++)
            {
                foreach (var r in new LogBlock(p, 0, batch.CountOf(p), 0, batch.RecordsOf(p).ToArray()))
                    copy.Add(r.Tenant, r.Id, r.Listener, r.Format, r.Flags, r.DeviceTime, r.Properties, r.Payload);
            }

            return copy;
        }
    }

    private sealed class Reader(MemoryLog log, PositionVector position) : ILogReader
    {
        private int _index;

        public PositionVector Position => position;

        public LogBlock? TryRead()
        {
            lock (log._gate)
            {
                while (_index < log._blocks.Count)
                {
                    var block = log._blocks[_index++];
                    if (block.NextSequence <= position[block.Partition])
                        continue;
                    block = block.From(position[block.Partition]);
                    position[block.Partition] = block.NextSequence;
                    return block;
                }

                return null;
            }
        }

        public async ValueTask<LogBlock> ReadAsync(CancellationToken cancel)
        {
            while (true)
            {
                var grown = log._grown.Task;
                if (TryRead() is { } block)
                    return block;
                await grown.WaitAsync(cancel);
            }
        }

        public LostRange? TakeLost() => null;

        public void Dispose() { }
    }
}
