using System.Globalization;
using System.Runtime.InteropServices;

namespace Millrace.Commands.Doctor;

/// <summary>Clock, open files and memory.</summary>
internal static partial class MachineChecks
{
    private const long MemoryWanted = 512L << 20;

    /// <summary>Files, sockets and pipes that the program needs beside its connections.</summary>
    private const long FilesBeside = 500;

    /// <summary>The kernel's answer when nothing disciplines the clock (TIME_ERROR of adjtimex).</summary>
    private const int ClockNotSynchronised = 5;

    /// <summary>Any earlier year means a machine without a battery-backed clock that has not found the time yet.</summary>
    private static readonly DateTime Plausible = new(2025, 1, 1, 0, 0, 0, DateTimeKind.Utc);

    public static IEnumerable<Finding> Clock()
    {
        var now = TimeProvider.System.GetUtcNow().UtcDateTime;
        var text = now.ToString("yyyy-MM-dd HH:mm:ss'Z'", CultureInfo.InvariantCulture);
        if (now < Plausible)
        {
            yield return new Finding(Verdict.Fail, "clock", $"{text} cannot be right", "set it, or run an NTP client such as chrony before the server");
            yield break;
        }

        yield return OperatingSystem.IsLinux() && AskKernel() == ClockNotSynchronised
            ? new Finding(Verdict.Warn, "clock", $"{text}, but nothing keeps it right", "run an NTP client such as chrony or systemd-timesyncd (inside a container: on its host)")
            : new Finding(Verdict.Ok, "clock", text);
    }

    public static IEnumerable<Finding> OpenFiles(long connectionsMax)
    {
        const string Limits = "/proc/self/limits";
        if (!File.Exists(Limits))
            yield break;
        var line = File.ReadLines(Limits).FirstOrDefault(l => l.StartsWith("Max open files", StringComparison.Ordinal));
        var word = line?.Split(' ', StringSplitOptions.RemoveEmptyEntries).ElementAtOrDefault(3);
        if (word is null)
            yield break;
        var limit = long.TryParse(word, out var number) ? number : long.MaxValue;
        yield return limit >= connectionsMax + FilesBeside
            ? new Finding(Verdict.Ok, "open files", $"at most {word}")
            : new Finding(
                Verdict.Warn, "open files", $"at most {limit}, fewer than Listeners:Tcp:ConnectionsMax ({connectionsMax}) needs",
                $"ulimit -n {connectionsMax + FilesBeside} before starting, or LimitNOFILE= in the systemd unit");
    }

    public static IEnumerable<Finding> Memory()
    {
        var available = GC.GetGCMemoryInfo().TotalAvailableMemoryBytes;
        yield return available >= MemoryWanted
            ? new Finding(Verdict.Ok, "memory", $"{available >> 20} MiB for this process")
            : new Finding(Verdict.Warn, "memory", $"{available >> 20} MiB for this process: enough for some hundred thousand devices", "give it 512 MiB for a million devices");
    }

    private static unsafe int AskKernel()
    {
        // struct timex is 208 bytes on 64-bit Linux; mode 0 only asks.
        var answer = stackalloc byte[256];
        new Span<byte>(answer, 256).Clear();
        return AskClock(answer);
    }

    [LibraryImport("libc", EntryPoint = "adjtimex")]
    private static unsafe partial int AskClock(byte* timex);
}
