using System.Diagnostics;

namespace Millrace.SystemTests;

/// <summary>A small file system in memory, mounted for one test. Needs root.</summary>
internal sealed class SmallDisk : IAsyncDisposable
{
    private readonly string _path;

    private SmallDisk(string path) => _path = path;

    public static async Task<SmallDisk> MountAsync(string path, string size, bool readOnly = false)
    {
        Assert.SkipUnless(OperatingSystem.IsLinux() && Environment.UserName == "root", "mounting a small file system needs root on Linux");
        Directory.CreateDirectory(path);
        var mounted = await RunAsync("mount", "-t", "tmpfs", "-o", $"size={size},mode=755{(readOnly ? ",ro" : "")}", "tmpfs", path);
        Assert.SkipUnless(mounted == 0, "this machine does not let root mount a file system");
        return new SmallDisk(path);
    }

    public async ValueTask DisposeAsync() => await RunAsync("umount", "-l", _path);

    private static async Task<int> RunAsync(params string[] command)
    {
        using var process = Process.Start(new ProcessStartInfo(command[0], command[1..]) { RedirectStandardError = true })!;
        await process.WaitForExitAsync();
        return process.ExitCode;
    }
}
