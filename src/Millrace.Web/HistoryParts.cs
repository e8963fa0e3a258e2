using Millrace.History.Queries;
using Millrace.History.Rollups.Groups;

namespace Millrace.Web;

/// <summary>What questions about the past are answered from.</summary>
/// <param name="Readings">Single devices' readings, out of archive and log.</param>
/// <param name="Order">How a device's readings are ordered when the question leaves it open: time with an archive, receivedAt without.</param>
/// <param name="Groups">Trends of fleet, types and tags; null: their route does not exist.</param>
public sealed record HistoryParts(DeviceReadings Readings, DeviceTrends Trends, GroupRollupView? Groups, string Order)
{
    public DeviceUse Use { get; } = new(Readings);
}
