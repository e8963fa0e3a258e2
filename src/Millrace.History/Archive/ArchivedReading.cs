namespace Millrace.History.Archive;

/// <summary>A reading out of the history. Times in µs UTC.</summary>
/// <param name="Json">The payload's JSON view, put together from columns and rest.</param>
public sealed record ArchivedReading(
    string Device, long Time, long ReceivedAt, int Partition, long Sequence, ReadOnlyMemory<byte> Json);
