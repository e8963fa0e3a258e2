using Microsoft.Extensions.Logging;

namespace Millrace.History.Archive;

/// <summary>What the archive tells (events 5600 to 5699 and 6500 to 6599).</summary>
internal static partial class ArchiveLog
{
    [LoggerMessage(6500, LogLevel.Warning, "A file of the history is gone: {Path}. What it held is not served; restore it from a backup.")]
    public static partial void FileMissing(ILogger log, string path);

    [LoggerMessage(6501, LogLevel.Warning, "Files of {Folder} were not merged: {Reason} The bad ones stay as they are; restore them from a backup, or they are tried again after the next start.")]
    public static partial void NotMerged(ILogger log, string folder, string reason);

    [LoggerMessage(5600, LogLevel.Warning, "Merging files of {Folder} is put off by a minute: {Reason} Nothing is lost; there are only more files.")]
    public static partial void MergeLater(ILogger log, string folder, string reason);

    [LoggerMessage(5601, LogLevel.Information, "Erased device {Device} of tenant {Tenant} from the history: {Readings} readings, {Files} files written again, {Remaining} readings left.")]
    public static partial void Erased(ILogger log, string device, int tenant, long readings, int files, long remaining);

    [LoggerMessage(6510, LogLevel.Warning, "Whether readings of device {Device} are left in {File} cannot be told: {Reason} Restore it from a backup and erase again, or delete it.")]
    public static partial void NotErased(ILogger log, string device, string file, string reason);

    [LoggerMessage(5602, LogLevel.Information, "{Files} files of {Days} days of the history were past their retention and are gone.")]
    public static partial void Retained(ILogger log, int files, int days);

    [LoggerMessage(6502, LogLevel.Warning, "Tenant {Tenant} has sent more than {Most} different fields. Further ones are kept in the column rest.")]
    public static partial void FieldsFull(ILogger log, int tenant, int most);

    [LoggerMessage(6503, LogLevel.Warning, "The history misses readings {From} to {To} of partition {Partition}: the log lost them before they were archived.")]
    public static partial void Lost(ILogger log, int partition, long from, long to);

    [LoggerMessage(6504, LogLevel.Warning, "The manifest of {Folder} was missing or damaged. It was made again from {Files} files by their names and contents.")]
    public static partial void ManifestMended(ILogger log, string folder, int files);
}
