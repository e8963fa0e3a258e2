namespace Millrace.Core;

/// <summary>What erasing a device's readings came to.</summary>
/// <param name="Readings">Readings taken out of the history.</param>
/// <param name="Files">Files that were written again without them, those of quarter-hours counted too.</param>
/// <param name="Remaining">Readings of the device found in what can be read when the history was searched again afterwards: 0.</param>
/// <param name="LogUntil">When the last segment of the log that may hold some has left by its retention, µs.</param>
/// <param name="Unread">Damaged files: nobody can tell whether they hold readings of the device. They stay as they are.</param>
public sealed record ErasedReadings(long Readings, int Files, long Remaining, long LogUntil, IReadOnlyList<string> Unread);

/// <summary>Takes one device's readings out of what is kept.</summary>
public interface IReadingEraser
{
    /// <summary>
    /// Erases everything received from the device until now; what is received later is kept. Repeating it is harmless, also after a crash in
    /// the middle.
    /// </summary>
    Task<ErasedReadings> EraseAsync(ushort tenant, string device, CancellationToken cancel);
}
