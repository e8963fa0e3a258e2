using System.Text;
using Millrace.Core;

namespace Millrace.Processing.Latest;

/// <summary>Finds the page of longest-silent devices in one walk over the table.</summary>
internal static unsafe class SeenWalk
{
    /// <summary>Times a walk starts over because its shard grew; then the page is what was found.</summary>
    private const int RestartsMax = 4;

    private static readonly Comparer<DeviceSeen> Order = Comparer<DeviceSeen>.Create(static (a, b) =>
        a.LastSeenAt != b.LastSeenAt ? a.LastSeenAt.CompareTo(b.LastSeenAt) : string.CompareOrdinal(a.Id, b.Id));

    public static IReadOnlyList<DeviceSeen> Run(DeviceTable table, ushort tenant, long before, DeviceSeen? after, int limit)
    {
        SortedSet<DeviceSeen> page = new(Order);
        foreach (var shard in table.Shards)
        {
            for (var restart = 0; restart < RestartsMax; restart++)
            {
                if (DeviceTable.Walk(shard, Look, CancellationToken.None))
                    break;
            }
        }

        return [.. page];

        void Look(EntryHead* entry)
        {
            if ((entry->State & EntryState.Blocked) != 0 || entry->LastSeenAt >= before)
                return;
            // Most devices are turned away here, before their id becomes a string.
            if (after is { } last && entry->LastSeenAt < last.LastSeenAt || page.Count == limit && entry->LastSeenAt > page.Max.LastSeenAt)
                return;
            var record = new ReadingRecord(DeviceShard.RecordOf(entry), 0, 0);
            if (record.Tenant != tenant)
                return;
            var seen = new DeviceSeen(Encoding.UTF8.GetString(record.Id), entry->LastSeenAt);
            if (after is { } held && Order.Compare(seen, held) <= 0)
                return;
            if (page.Add(seen) && page.Count > limit)
                page.Remove(page.Max);
        }
    }
}
