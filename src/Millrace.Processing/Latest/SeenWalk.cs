using System.Text;
using Millrace.Core;

namespace Millrace.Processing.Latest;

/// <summary>Finds the page of the longest silent devices, or of those heard last, in one walk over the table.</summary>
internal static unsafe class SeenWalk
{
    /// <summary>Times a walk starts over because its shard grew; then the page is what was found.</summary>
    private const int RestartsMax = 4;

    private static readonly Comparer<DeviceSeen> Order = Comparer<DeviceSeen>.Create(static (a, b) =>
        a.LastSeenAt != b.LastSeenAt ? a.LastSeenAt.CompareTo(b.LastSeenAt) : string.CompareOrdinal(a.Id, b.Id));

    private static readonly Comparer<DeviceSeen> Reverse = Comparer<DeviceSeen>.Create(static (a, b) => Order.Compare(b, a));

    public static IReadOnlyList<DeviceSeen> Run(DeviceTable table, ushort tenant, long before, DeviceSeen? after, int limit, bool lastHeardFirst)
    {
        var order = lastHeardFirst ? Reverse : Order;
        SortedSet<DeviceSeen> page = new(order);
        foreach (var shard in table.Shards)
        {
            for (var restart = 0; restart < RestartsMax; restart++)
            {
                if (DeviceTable.Walk(shard, Look, CancellationToken.None))
                    break;
            }
        }

        return [.. page];

        bool IsBefore(long a, long b) => lastHeardFirst ? a > b : a < b;

        void Look(EntryHead* entry)
        {
            if ((entry->State & EntryState.Blocked) != 0 || entry->LastSeenAt >= before)
                return;
            // Most devices are turned away here, before their id becomes a string.
            if (after is { } last && IsBefore(entry->LastSeenAt, last.LastSeenAt) || page.Count == limit && IsBefore(page.Max.LastSeenAt, entry->LastSeenAt))
                return;
            var record = new ReadingRecord(DeviceShard.RecordOf(entry), 0, 0);
            if (record.Tenant != tenant)
                return;
            var seen = new DeviceSeen(Encoding.UTF8.GetString(record.Id), entry->LastSeenAt);
            if (after is { } held && order.Compare(seen, held) <= 0)
                return;
            if (page.Add(seen) && page.Count > limit)
                page.Remove(page.Max);
        }
    }
}
