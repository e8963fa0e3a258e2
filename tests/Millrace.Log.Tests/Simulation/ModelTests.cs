using FsCheck;
using FsCheck.Fluent;
using Millrace.Core;

namespace Millrace.Log.Tests.Simulation;

/// <summary>The log against the simplest log there is: a list that forgets nothing.</summary>
public sealed class ModelTests
{
    private static readonly LogOptions Options = TestLog.Small("/sim/log") with { RetentionBytes = long.MaxValue };

    [Fact]
    public void Any_sequence_of_appends_crashes_and_reads_behaves_like_a_list() =>
        Prop.ForAll(ArbMap.Default.ArbFor<byte[]>(), steps => HoldsAsync(steps).GetAwaiter().GetResult()).QuickCheckThrowOnFailure();

    private static async Task<bool> HoldsAsync(byte[] steps)
    {
        var disk = new SimulatedDisk((ulong)steps.Length);
        List<string> model = [];
        var log = await TestLog.OpenAsync(Options, disk.NewProcess());
        foreach (var step in steps)
        {
            switch (step % 8)
            {
                case < 4:
                    for (var i = 0; i <= step / 8; i++)
                        model.Add($"{model.Count}".PadRight(step * 8, '.'));
                    var batch = log.Batch(model.TakeLast(1 + (step / 8)).Select(value => ($"m{value.Length % 5}", value)));
                    await log.Appender.AppendAsync(batch, CancellationToken.None);
                    break;
                case 4:
                    disk.Kill();
                    log = await ReopenAsync(log, disk);
                    break;
                case 5:
                    disk.LosePower();
                    log = await ReopenAsync(log, disk);
                    break;
                case 6:
                    log = await ReopenAsync(log, disk);
                    break;
                default:
                    if (!Agrees(log, model, step))
                        return false;
                    break;
            }
        }

        var agrees = Agrees(log, model, 0);
        await log.DisposeAsync();
        return agrees;
    }

    /// <summary>From a place in the middle, by time and by vector, the rest of the list is read, in order within a device.</summary>
    private static bool Agrees(TestLog log, List<string> model, int seed)
    {
        var all = log.ReadAll();
        if (!all.Select(r => r.Value).Order().SequenceEqual(model.Order()))
            return false;
        foreach (var device in all.GroupBy(r => r.Id))
        {
            if (!device.Select(r => r.Value).SequenceEqual(model.Where(value => $"m{value.Length % 5}" == device.Key)))
                return false;
        }

        if (all.Count == 0)
            return true;
        var cut = seed % all.Count;
        return log.ReadFrom(log.Log.PositionAt(all[cut].ReceivedAt)).SequenceEqual(all.Skip(cut));
    }

    private static async Task<TestLog> ReopenAsync(TestLog log, SimulatedDisk disk)
    {
        await log.DisposeAsync();
        return await TestLog.OpenAsync(Options, disk.NewProcess());
    }
}
