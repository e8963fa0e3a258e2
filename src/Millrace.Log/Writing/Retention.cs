using Microsoft.Extensions.Logging;
using Millrace.Core;
using Millrace.Log.Disk;
using Millrace.Log.Format;
using Millrace.Log.Segments;

namespace Millrace.Log.Writing;

/// <summary>
/// Removes the oldest sealed segments: those that are too old unless a view still has to read them, and, view or no view,
/// those beyond the size budget. Driven by the writer's thread; holds come from anywhere.
/// </summary>
internal sealed class Retention(SegmentCatalog catalog, LogOptions options, TimeProvider time, ILogger log)
{
    private readonly Lock _gate = new();
    private Hold[] _holds = [];

    /// <summary>Keeps what lies at or behind the vector, within the size budget, until disposed.</summary>
    public IDisposable HoldFrom(Func<PositionVector> from)
    {
        var hold = new Hold(this, from);
        lock (_gate)
            _holds = [.. _holds, hold];
        return hold;
    }

    public void Apply()
    {
        var budget = options.RetentionBytes ?? catalog.Disk.Space(catalog.Folder).Total / 2;
        var oldestKept = time.Now() - ((long)options.RetentionAge.TotalMicroseconds);
        while (catalog.Segments is [var oldest, var next, ..])
        {
            var beyondBudget = TotalBytes() > budget;
            if (!beyondBudget && next.StartReceivedAt >= oldestKept)
                return;
            var unread = IsHeld(next.Start);
            if (unread && !beyondBudget)
                return;

            Remove(oldest, beyondBudget ? "beyond the size budget" : "older than the retention age");
            if (unread)
                LogLog.RemovedUnread(log, oldest.Path, budget);
        }
    }

    private long TotalBytes()
    {
        long total = 0;
        foreach (var segment in catalog.Segments)
            total += segment.Length;
        return total;
    }

    /// <summary>Whether a view still wants something before the vector.</summary>
    private bool IsHeld(PositionVector end)
    {
        foreach (var hold in Volatile.Read(ref _holds))
        {
            if (!hold.HasRead(end))
                return true;
        }

        return false;
    }

    private void Remove(Segment segment, string reason)
    {
        // First from sight, then from disk. One at a time, each made durable: a crash never leaves a hole in the middle.
        catalog.RemoveOldest();
        catalog.Disk.Delete(segment.Path);
        catalog.Disk.Delete(segment.IndexPath);
        catalog.Disk.SyncFolder(catalog.Folder);
        LogLog.Removed(log, segment.Path, segment.Length, reason);
    }

    private sealed class Hold(Retention retention, Func<PositionVector> from) : IDisposable
    {
        public bool HasRead(PositionVector end)
        {
            try
            {
                return end.IsAtOrBefore(from());
            }
            catch (Exception)
            {
                return false; // A view that cannot say where it is has not read; its fault must not stop the log.
            }
        }

        public void Dispose()
        {
            lock (retention._gate)
                retention._holds = [.. retention._holds.Where(h => h != this)];
        }
    }
}
