using Millrace.Core;
using Millrace.Log.Tests.Simulation;

namespace Millrace.Log.Tests;

public sealed class AllocationTests
{
    [Fact]
    public async Task Appending_to_a_warm_log_allocates_nothing()
    {
        var disk = new SimulatedDisk(17);
        await using var log = await TestLog.OpenAsync(TestLog.Small("/sim/log") with { GroupBytes = 1 << 20, SegmentBytes = 1 << 30, RingBytes = 32 << 20 }, disk);
        var batch = log.Batch(Enumerable.Range(0, 32).Select(i => ($"m{i}", "20.5")));

        // Both groups that take turns, and the lists behind them, have to have grown once.
        for (var i = 0; i < 4; i++)
            await GatherAsync(log, disk, batch);
        var allocated = await GatherAsync(log, disk, batch);

        Assert.Equal(0, allocated);
        Assert.Equal(log.Ledger.Stored, log.ReadAll().Count);
    }

    /// <summary>Lets a group gather behind one that the disk holds up; returns what the appends of it allocated.</summary>
    private static async Task<long> GatherAsync(TestLog log, SimulatedDisk disk, ReadingBatch batch)
    {
        var stalled = disk.Pause();
        log.Appender.TryAppend(batch);
        await stalled;
        var allocated = Append(log, batch);
        disk.Resume();
        await log.Log.FlushAsync();
        return allocated;
    }

    private static long Append(TestLog log, ReadingBatch batch)
    {
        var before = GC.GetAllocatedBytesForCurrentThread();
        for (var i = 0; i < 500; i++)
            Assert.True(log.Appender.TryAppend(batch));
        return GC.GetAllocatedBytesForCurrentThread() - before;
    }
}
