using Microsoft.Extensions.Logging;
using Millrace.Core;
using Millrace.Log.Segments;

namespace Millrace.Log.Reading;

/// <summary>Where new readers begin.</summary>
internal static class ReaderPlaces
{
    /// <summary>Brings a vector into what the log holds, and says what was asked for and is gone.</summary>
    public static (PositionVector Position, List<LostRange> Lost) Clamp(PositionVector from, PositionVector oldest, PositionVector durable, ILogger log)
    {
        var position = from.Copy();
        List<LostRange> lost = [];
        for (var p = 0; p < position.Count; p++)
        {
            if (position[p] < oldest[p])
            {
                lost.Add(new LostRange(p, position[p], oldest[p]));
                position[p] = oldest[p];
            }
            else if (position[p] > durable[p])
            {
                LogLog.ReaderAhead(log, p, position[p], durable[p]);
                position[p] = durable[p];
            }
        }

        return (position, lost);
    }

    public static LogReader OpenPartition(SegmentCatalog catalog, DurableTail tail, JournalSearch search, int partition, long fromReceivedAt)
    {
        // The other partitions stand at the end, where nothing of theirs is wanted and so nothing holds the start back.
        var position = tail.Durable;
        position[partition] = search.VectorAt(fromReceivedAt, partition)[partition];
        return new LogReader(catalog, tail, position, search.PositionFor(position), partition, []);
    }
}
