using Millrace.Core;
using Millrace.Log.Disk;
using Millrace.Log.Format;
using Millrace.Log.Segments;

namespace Millrace.Log.Reading;

/// <summary>Finds places in the journal by sequence and by time.</summary>
internal sealed class JournalSearch(SegmentCatalog catalog, DurableTail tail)
{
    /// <summary>A journal position at or before every reading at or behind the vector.</summary>
    public long PositionFor(PositionVector from)
    {
        if (tail.PositionFor(from) is { } inMemory)
            return inMemory;

        var durable = tail.Durable;
        var segments = catalog.Segments;
        for (var i = segments.Length - 1; i >= 0; i--)
        {
            if (i > 0 && !segments[i].Start.IsAtOrBefore(from))
                continue;
            var end = i + 1 < segments.Length ? segments[i + 1].Start : durable;
            return segments[i].Base + (Offset(segments[i], from, end) ?? segments[i].Length);
        }

        return segments[0].Base;
    }

    /// <summary>The vector at which everything received at or after the time lies.</summary>
    /// <param name="partition">The only partition that need be exact, or −1.</param>
    public PositionVector VectorAt(long receivedAt, int partition = -1)
    {
        var durable = tail.Durable;
        var segments = catalog.Segments;
        var i = segments.Length - 1;
        while (i > 0 && segments[i].StartReceivedAt >= receivedAt)
            i--;
        var vector = segments[i].Start.Copy();
        try
        {
            Walk(segments[i], receivedAt, partition, vector);
        }
        catch (FileNotFoundException)
        {
            // Retention took the segment just now: everything left is behind it.
            vector = catalog.Segments[0].Start.Copy();
        }

        for (var p = 0; p < vector.Count; p++)
            vector[p] = Math.Min(vector[p], durable[p]);
        return vector;
    }

    private long? Offset(Segment segment, PositionVector from, PositionVector end)
    {
        try
        {
            return catalog.IndexOf(segment).OffsetFor(from, end);
        }
        catch (FileNotFoundException)
        {
            return SegmentHeader.Bytes; // Retention took it just now: the reader finds out by itself.
        }
    }

    private void Walk(Segment segment, long receivedAt, int partition, PositionVector vector)
    {
        var index = catalog.IndexOf(segment);
        long? offset = null;
        for (var p = 0; p < vector.Count; p++)
        {
            if ((partition >= 0 && p != partition) || index.BeforeTime(p, receivedAt) is not { } entry)
                continue;
            vector[p] = entry.Sequence;
            if (!(offset <= entry.Offset))
                offset = entry.Offset;
        }

        if (offset is null)
            return; // Every block of the segment is younger: its start is the place.

        using var file = catalog.Disk.Open(segment.Path, DiskOpen.Read);
        var scanner = catalog.HeaderScanner(file, segment);
        scanner.Seek(offset.Value);
        var length = segment.Length;
        while (scanner.Next(length) is var step && step != ScanStep.End)
        {
            var header = scanner.Header;
            if (step != ScanStep.Block || header.Kind != BlockKind.Records)
                continue;
            if (header.FirstReceivedAt >= receivedAt)
                return;
            vector[header.Partition] = Math.Max(vector[header.Partition], Math.Min(header.NextSequence, header.FirstSequence + (receivedAt - header.FirstReceivedAt)));
        }
    }
}
