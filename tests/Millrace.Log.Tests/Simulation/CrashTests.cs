using Millrace.Core;
using Millrace.Testing;

namespace Millrace.Log.Tests.Simulation;

public sealed class CrashTests
{
    /// <summary>Twenty seeds here; the environment variable adds more (<c>MILLRACE_SEEDS=1000:2000</c>); every seed that once failed stays.</summary>
    public static TheoryData<ulong> Seeds
    {
        get
        {
            var seeds = new TheoryData<ulong>();
            foreach (var failedOnce in FailedOnce)
                seeds.Add(failedOnce);
            for (ulong seed = 1; seed <= 20; seed++)
                seeds.Add(seed);
            if (Environment.GetEnvironmentVariable("MILLRACE_SEEDS")?.Split(':') is [var from, var to])
            {
                for (var seed = ulong.Parse(from); seed < ulong.Parse(to); seed++)
                    seeds.Add(seed);
            }

            return seeds;
        }
    }

    // Killed between a rename and the folder's flush, opened again, then power lost.
    private static ulong[] FailedOnce => [109, 1066, 1129];

    [Theory]
    [MemberData(nameof(Seeds))]
    public async Task Every_acknowledged_reading_survives_whatever_the_disk_does(ulong seed)
    {
        var life = new LogLife(seed);
        for (var crash = 0; crash < 12; crash++)
            await life.LiveAndDieAsync();
        await life.OpenAndCheckAsync();
    }
}
