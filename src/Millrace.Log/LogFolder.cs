using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Millrace.Core;
using Millrace.Log.Disk;
using Millrace.Log.Reading;
using Millrace.Log.Segments;

namespace Millrace.Log;

/// <summary>
/// A log's folder opened for reading alone, beside a server that may be writing it: no lock, nothing is changed, and what
/// is read is durable (as of the opening). Its readers end where the log ended then. Thread-safe.
/// </summary>
public sealed class LogFolder : IRecordedLog, IDisposable
{
    private const int AttemptsMax = 5;

    private readonly OpenedJournal _journal;
    private readonly DurableTail _tail;
    private readonly JournalSearch _search;
    private readonly ILogger _log;

    private LogFolder(OpenedJournal journal, ILogger log)
    {
        _journal = journal;
        _log = log;
        _tail = new DurableTail(0, journal.Next, journal.Catalog.Active.End);
        _search = new JournalSearch(journal.Catalog, _tail);
    }

    public int PartitionCount => _journal.Next.Count;

    /// <summary>Per partition the sequence behind the last one that can be read.</summary>
    public PositionVector Durable => _journal.Next.Copy();

    /// <summary>Per partition the oldest sequence still held.</summary>
    public PositionVector Oldest => _journal.Catalog.Segments[0].Start.Copy();

    /// <summary>The arrival of the last reading, µs; 0 when there is none.</summary>
    public long LastReceivedAt => _journal.LastReceivedAt;

    /// <exception cref="LogFolderException">There is no log, or it cannot be read.</exception>
    public static LogFolder OpenForReading(string folder, ILogger? log = null) => OpenForReading(folder, PhysicalDisk.Instance, log);

    /// <inheritdoc cref="OpenForReading(string, ILogger?)"/>
    public static LogFolder OpenForReading(string folder, IDisk disk, ILogger? log = null)
    {
        log ??= NullLogger.Instance;
        for (var attempt = 1; ; attempt++)
        {
            try
            {
                return new LogFolder(new JournalFolder(Path.GetFullPath(folder), disk, TimeProvider.System, log).OpenForReading(), log);
            }
            catch (FileNotFoundException) when (attempt < AttemptsMax)
            {
                // The server removed its oldest segment between our look and the opening: look again.
            }
            catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
            {
                throw new LogFolderException($"The event log in {folder} cannot be read: {failure.Message}", failure);
            }
        }
    }

    /// <summary>Reads blocks from a vector on; <see cref="IRecordedReader.TryRead"/> gives null at the end. Use no <see cref="ILogReader.ReadAsync"/>: nothing will come.</summary>
    public ILogReader OpenReader(PositionVector from)
    {
        ArgumentNullException.ThrowIfNull(from);
        var (position, lost) = ReaderPlaces.Clamp(from, Oldest, _journal.Next, _log);
        return new LogReader(_journal.Catalog, _tail, position, _search.PositionFor(position), -1, lost);
    }

    /// <summary>Reads one partition from an arrival time on.</summary>
    public ILogReader OpenReader(int partition, long fromReceivedAt)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)partition, (uint)PartitionCount, nameof(partition));
        return ReaderPlaces.OpenPartition(_journal.Catalog, _tail, _search, partition, fromReceivedAt);
    }

    /// <summary>Reads one partition from a sequence on.</summary>
    public ILogReader OpenReaderAt(int partition, long sequence)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)partition, (uint)PartitionCount, nameof(partition));
        var from = Durable;
        from[partition] = sequence;
        var (position, lost) = ReaderPlaces.Clamp(from, Oldest, _journal.Next, _log);
        return new LogReader(_journal.Catalog, _tail, position, _search.PositionFor(position), partition, lost);
    }

    /// <summary>The vector at which everything received at or after the time lies.</summary>
    public PositionVector PositionAt(long receivedAt) => _search.VectorAt(receivedAt);

    public void Dispose() => _journal.ActiveFile.Dispose();
}
