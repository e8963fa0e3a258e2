using Microsoft.Extensions.Logging;
using Millrace.Core;
using Millrace.Log.Disk;
using Millrace.Log.Reading;
using Millrace.Log.Segments;
using Millrace.Log.Writing;

namespace Millrace.Log;

/// <summary>
/// The event log on a local disk (docs/formats/log.md): one journal of blocks in segment files, written by one thread in
/// groups that are flushed before anybody is told. One process per folder; the data folder's lock sees to that.
/// </summary>
public sealed class SegmentLog : IReadingLog, IAsyncDisposable
{
    private static readonly TimeSpan HousekeepingPeriod = TimeSpan.FromSeconds(1);

    private readonly LogOptions _options;
    private readonly ILogger _log;
    private readonly SegmentCatalog _catalog;
    private readonly DurableTail _tail;
    private readonly JournalSearch _search;
    private readonly Gathering _gathering;
    private readonly ArrivalStamps _stamps;
    private readonly Retention _retention;
    private readonly LogMetrics _metrics;
    private readonly JournalWriter _writer;
    private readonly ITimer _housekeeping;
    private readonly TaskCompletionSource<LogUnavailableException> _failure = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource _written = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private int _disposed;

    private SegmentLog(LogOptions options, JournalFolder folder, OpenedJournal journal, TimeProvider time, ILogger log)
    {
        _options = options;
        _log = log;
        _catalog = journal.Catalog;
        RecoveryLosses = journal.Lost;
        PartitionCount = journal.Next.Count;
        _tail = new DurableTail(options.RingBytes, journal.Next, _catalog.Active.End);
        _search = new JournalSearch(_catalog, _tail);
        _gathering = new Gathering(PartitionCount, journal.Next, options.GroupBytes, options.GroupWindow);
        _stamps = new ArrivalStamps(time, journal.LastReceivedAt, log);
        _retention = new Retention(_catalog, options, time, log);
        _metrics = new LogMetrics(this);
        _writer = new JournalWriter(journal, folder, _tail, _gathering, _stamps, _retention, _metrics, options, time, log);
        _writer.Failed += why => _failure.TrySetResult(why);
        new Thread(Write) { IsBackground = true, Name = "log writer" }.Start();
        _housekeeping = time.CreateTimer(_ => _gathering.RequestHousekeeping(), null, HousekeepingPeriod, HousekeepingPeriod);
    }

    public int PartitionCount { get; }

    public LogState State => _gathering.State;

    public string? StateDetail => _gathering.StateDetail;

    public PositionVector Durable => _tail.Durable;

    public PositionVector Oldest => _catalog.Segments[0].Start.Copy();

    public long ArrivalLowWater => _stamps.LowWater;

    /// <summary>Completes, with what is wrong, when a write or flush failed: the log is of no use until a restart.</summary>
    public Task<LogUnavailableException> Failure => _failure.Task;

    /// <summary>Sequences that damage found at opening took, at most.</summary>
    public IReadOnlyList<LostRange> RecoveryLosses { get; }

    /// <summary>Bytes of all segments.</summary>
    public long Bytes
    {
        get
        {
            long bytes = 0;
            foreach (var segment in _catalog.Segments)
                bytes += segment.Length;
            return bytes;
        }
    }

    /// <summary>Opens a log, or makes one; recovers what an unclean end left.</summary>
    /// <exception cref="ArgumentException">An option cannot be; the message names them all.</exception>
    /// <exception cref="LogFolderException">The folder cannot be opened as it is.</exception>
    /// <exception cref="DiskFullException">A new log, or a new segment, finds no room.</exception>
    public static Task<SegmentLog> OpenAsync(LogOptions options, IDisk disk, TimeProvider time, ILogger log)
    {
        ArgumentNullException.ThrowIfNull(options);
        if (string.Join("; ", options.Validate()) is { Length: > 0 } mistakes)
            throw new ArgumentException(mistakes, nameof(options));
        // Recovery reads up to a whole segment, synchronously: not on the caller's thread.
        return Task.Run(() => Open(options with { Folder = Path.GetFullPath(options.Folder) }, disk, time, log));
    }

    public ILogAppender OpenAppender(ListenerLedger ledger, long pendingBytesMax)
    {
        ArgumentNullException.ThrowIfNull(ledger);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(pendingBytesMax);
        var appender = new Appender(this, _gathering, ledger, pendingBytesMax);
        _writer.Register(appender);
        return appender;
    }

    /// <inheritdoc/>
    /// <remarks>What lies between <paramref name="from"/> and the oldest reading held is told by <see cref="IRecordedReader.TakeLost"/>.</remarks>
    public ILogReader OpenReader(PositionVector from)
    {
        ArgumentNullException.ThrowIfNull(from);
        if (from.Count != PartitionCount)
            throw new ArgumentException($"The vector has {from.Count} partitions, the log {PartitionCount}.", nameof(from));
        var (position, lost) = ReaderPlaces.Clamp(from, Oldest, Durable, _log);
        return new LogReader(_catalog, _tail, position, _search.PositionFor(position), -1, lost);
    }

    /// <summary>Reads one partition from an arrival time on, passing over the others' blocks without reading them.</summary>
    public ILogReader OpenReader(int partition, long fromReceivedAt)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)partition, (uint)PartitionCount, nameof(partition));
        return ReaderPlaces.OpenPartition(_catalog, _tail, _search, partition, fromReceivedAt);
    }

    public PositionVector PositionAt(long receivedAt) => _search.VectorAt(receivedAt);

    /// <summary>Keeps segments that a view has yet to read from being removed by age (not by the size budget), until disposed.</summary>
    /// <param name="from">Says how far the view has read; called from the log's thread.</param>
    public IDisposable HoldFrom(Func<PositionVector> from) => _retention.HoldFrom(from);

    /// <summary>Completes when everything taken so far is durable.</summary>
    /// <exception cref="LogUnavailableException">It could not be stored.</exception>
    public Task FlushAsync() => _gathering.FlushAsync();

    /// <summary>Takes nothing more, makes durable what was taken, marks the clean end.</summary>
    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _disposed, 1) != 0)
            return;
        await _housekeeping.DisposeAsync().ConfigureAwait(false);
        _gathering.Stop();
        await _written.Task.ConfigureAwait(false);
        _tail.Close();
        _metrics.Dispose();
        if (!_failure.Task.IsCompleted)
            LogLog.Closed(_log);
    }

    /// <summary>Why the log does not accept just now.</summary>
    internal LogUnavailableException Unavailable()
    {
        var state = State;
        return new LogUnavailableException(
            state == LogState.Accepting ? LogState.Failed : state, StateDetail ?? "The event log does not accept readings.");
    }

    private static SegmentLog Open(LogOptions options, IDisk disk, TimeProvider time, ILogger log)
    {
        var folder = new JournalFolder(options.Folder, disk, time, log);
        try
        {
            return new SegmentLog(options, folder, folder.Open(options.Partitions), time, log);
        }
        catch (UnauthorizedAccessException denied)
        {
            throw new LogFolderException(
                $"The event log in {options.Folder} cannot be written: {denied.Message} Give the user that runs the server the right to write there.", denied);
        }
    }

    private void Write()
    {
        _writer.Run();
        _written.SetResult();
    }
}
