namespace Millrace.Web;

/// <summary>How much the event log holds and how long it keeps it, for status.</summary>
/// <param name="HeldBytes">Bytes of all segments.</param>
/// <param name="BytesMax">The size budget; null: half of the file system.</param>
public sealed record LogKeeping(long HeldBytes, TimeSpan AgeMax, long? BytesMax);
