using Millrace.Core;
using Millrace.History.Archive;
using Millrace.History.Rollups.Devices;

namespace Millrace.History;

/// <summary>Erases a device from the archive, and then from what was made of it.</summary>
public sealed class HistoryEraser(ArchiveView archive, DeviceRollups rollups) : IReadingEraser
{
    public async Task<ErasedReadings> EraseAsync(ushort tenant, string device, CancellationToken cancel)
    {
        var erased = await archive.EraseAsync(tenant, device, cancel);
        // Only now: quarter-hours that are made meanwhile may be made from files that still hold it. And whoever asked may be gone: then nobody asks again.
        var days = await Task.Run(() => rollups.Erase(tenant, device), CancellationToken.None);
        return erased with { Files = erased.Files + days };
    }
}
