using Microsoft.Extensions.Logging;

namespace Millrace.Log;

/// <summary>The event log's messages: ids 3000 to 3999.</summary>
internal static partial class LogLog
{
    [LoggerMessage(3000, LogLevel.Information, "Opened the event log in {Folder}: {Segments} segments, {Bytes} bytes, {Partitions} partitions, scanned in {ElapsedMs} ms.")]
    public static partial void Opened(ILogger log, string folder, int segments, long bytes, int partitions, long elapsedMs);

    [LoggerMessage(3001, LogLevel.Information, "Made a new event log in {Folder} with {Partitions} partitions.")]
    public static partial void Created(ILogger log, string folder, int partitions);

    [LoggerMessage(3002, LogLevel.Information, "Closed the event log; everything taken is on disk.")]
    public static partial void Closed(ILogger log);

    [LoggerMessage(3003, LogLevel.Information, "Cut {Bytes} torn bytes off {Path} at {Offset}: the end of a group that was never acknowledged.")]
    public static partial void TornTailCut(ILogger log, string path, long offset, long bytes);

    [LoggerMessage(3004, LogLevel.Error, "{Path} is damaged from byte {From} to {To}: readings that were stored cannot be read. They are passed over; keep the file and check the disk.")]
    public static partial void DamageFound(ILogger log, string path, long from, long to);

    [LoggerMessage(3005, LogLevel.Error, "Damage took partition {Partition} from sequence {FromSequence} to {ToSequence} (exclusive) at most.")]
    public static partial void SequencesLost(ILogger log, int partition, long fromSequence, long toSequence);

    [LoggerMessage(3006, LogLevel.Error, "A reader met damage in {Path} from byte {From} to {To} and passed over it. Check the disk.")]
    public static partial void DamageMet(ILogger log, string path, long from, long to);

    [LoggerMessage(3007, LogLevel.Information, "Made the index of {Path} again.")]
    public static partial void IndexRebuilt(ILogger log, string path);

    [LoggerMessage(3008, LogLevel.Warning, "Both header copies of {Path} are damaged; what they said was taken from the segment before it.")]
    public static partial void SegmentHeaderLost(ILogger log, string path);

    [LoggerMessage(3009, LogLevel.Warning, "The log's meta file was lost and was made again from {Path}.")]
    public static partial void MetaRestored(ILogger log, string path);

    [LoggerMessage(3010, LogLevel.Warning, "The folder has {Found} partitions, {Asked} were asked for: the number is fixed when a log is made, {Found} are used.")]
    public static partial void PartitionsDiffer(ILogger log, int found, int asked);

    [LoggerMessage(3011, LogLevel.Warning, "The clock went back by {BackMs} ms; arrival times go on from the last one given.")]
    public static partial void ClockWentBack(ILogger log, long backMs);

    [LoggerMessage(3012, LogLevel.Error, "The event log stopped accepting: {Detail}")]
    public static partial void Full(ILogger log, string detail);

    [LoggerMessage(3013, LogLevel.Information, "The event log accepts again: {FreeBytes} bytes are free.")]
    public static partial void AcceptsAgain(ILogger log, long freeBytes);

    [LoggerMessage(3014, LogLevel.Critical, "The event log failed and accepts nothing until the server is restarted. {Detail}")]
    public static partial void Failed(ILogger log, string detail, Exception failure);

    [LoggerMessage(3015, LogLevel.Debug, "Sealed {Path} at {Bytes} bytes.")]
    public static partial void Sealed(ILogger log, string path, long bytes);

    [LoggerMessage(3016, LogLevel.Information, "Removed {Path} ({Bytes} bytes): {Reason}.")]
    public static partial void Removed(ILogger log, string path, long bytes, string reason);

    [LoggerMessage(3017, LogLevel.Warning, "Removed {Path} although a view had not read it: the log is beyond its budget of {BudgetBytes} bytes.")]
    public static partial void RemovedUnread(ILogger log, string path, long budgetBytes);

    [LoggerMessage(3018, LogLevel.Warning, "A retention step failed; it is tried again.")]
    public static partial void RetentionFailed(ILogger log, Exception failure);

    [LoggerMessage(3019, LogLevel.Warning, "A reader asked for partition {Partition} from {Asked}, but only {Durable} readings exist: the log is older than what asks. It follows from the end.")]
    public static partial void ReaderAhead(ILogger log, int partition, long asked, long durable);

    [LoggerMessage(3020, LogLevel.Warning, "The index of {Path} could not be written; it is made again when needed.")]
    public static partial void IndexNotWritten(ILogger log, string path, Exception failure);

    [LoggerMessage(3021, LogLevel.Error, "The journal misses the bytes from {From} to {To}: a segment file is gone or shorter than it was.")]
    public static partial void JournalGap(ILogger log, long from, long to);
}
