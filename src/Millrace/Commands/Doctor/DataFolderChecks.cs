using System.Diagnostics;
using System.Globalization;
using Millrace.Core;
using Millrace.Settings;

namespace Millrace.Commands.Doctor;

/// <summary>Whether the data folder can be used, and what its disk can do.</summary>
internal static class DataFolderChecks
{
    private const int WriteBytes = 64 << 20;
    private const int Flushes = 60;
    private const int FlushBytes = 4096;

    /// <summary>Readings of a million meters, one a second each thirty, in bytes per second of log.</summary>
    private const double WriteBytesPerSecondWanted = 34e6;

    private static readonly TimeSpan FlushFine = TimeSpan.FromMilliseconds(10);
    private static readonly TimeSpan FlushBad = TimeSpan.FromMilliseconds(100);

    /// <summary>File systems whose flush promises nothing after a power cut, or not on this machine.</summary>
    private static readonly string[] Forgetful = ["tmpfs", "ramfs"];

    public static IEnumerable<Finding> Permissions(string data)
    {
        if (!TryMakeFolder(data, out var made, out var fault))
        {
            yield return new Finding(Verdict.Fail, "data folder", $"{data} cannot be written: {fault}", "give another with --data DIR or make it writable for this user");
            yield break;
        }

        if (made is not null)
        {
            Directory.Delete(made, recursive: true);
            yield return new Finding(Verdict.Ok, "data folder", $"{data} can be made");
            yield break;
        }

        yield return Lock(data);
        if (!OperatingSystem.IsWindows() && (File.GetUnixFileMode(data) & (UnixFileMode.OtherWrite | UnixFileMode.GroupWrite)) != 0)
            yield return new Finding(Verdict.Warn, "data folder", $"{data} can be written by other users", $"chmod go-w {data}");
    }

    private static Finding Lock(string data)
    {
        try
        {
            DataFolder.Open(data).Dispose();
            return new Finding(Verdict.Ok, "data folder", $"{data} is writable and nobody holds it");
        }
        catch (StartException e)
        {
            return new Finding(Verdict.Fail, "data folder", e.Message);
        }
    }

    public static IEnumerable<Finding> Disk(string data, long reserveBytes)
    {
        var folder = data;
        while (!Directory.Exists(folder))
            folder = Path.GetDirectoryName(folder)!;
        var file = Path.Combine(folder, $".doctor-{Environment.ProcessId}");
        return Guarded(() =>
        {
            var drive = new DriveInfo(folder);
            List<Finding> findings = [Space(drive, reserveBytes)];
            if (Forgetful.Contains(drive.DriveFormat))
                findings.Add(new Finding(Verdict.Warn, "disk", $"{folder} lies on {drive.DriveFormat}, which forgets everything at power off", "put the data folder on a real disk"));
            if (drive.AvailableFreeSpace > WriteBytes * 2)
            {
                try
                {
                    findings.Add(WriteSpeed(file));
                    findings.Add(FlushLatency(file));
                }
                finally
                {
                    File.Delete(file);
                }
            }

            return findings;
        });
    }

    private static Finding Space(DriveInfo drive, long reserveBytes)
    {
        var text = string.Create(CultureInfo.InvariantCulture, $"{drive.AvailableFreeSpace >> 20} MiB free of {drive.TotalSize >> 20} MiB ({drive.DriveFormat})");
        if (drive.AvailableFreeSpace <= reserveBytes)
            return new Finding(Verdict.Fail, "disk space", $"{text}: below Log:ReserveBytes, nothing would be taken", "free space, or lower Log:ReserveBytes or Log:Retention:Bytes");
        return drive.AvailableFreeSpace < reserveBytes * 4
            ? new Finding(Verdict.Warn, "disk space", $"{text}: soon at Log:ReserveBytes ({reserveBytes >> 20} MiB)", "free space, or set Log:Retention:Bytes")
            : new Finding(Verdict.Ok, "disk space", text);
    }

    private static Finding WriteSpeed(string path)
    {
        var block = new byte[1 << 20];
        new Random(1).NextBytes(block);
        using var file = File.OpenHandle(path, FileMode.Create, FileAccess.Write);
        var start = Stopwatch.GetTimestamp();
        for (long at = 0; at < WriteBytes; at += block.Length)
            RandomAccess.Write(file, block, at);
        RandomAccess.FlushToDisk(file);
        var perSecond = WriteBytes / Stopwatch.GetElapsedTime(start).TotalSeconds;
        var text = string.Create(CultureInfo.InvariantCulture, $"{perSecond / 1e6:N0} MB/s sequential write and flush");
        return perSecond >= WriteBytesPerSecondWanted
            ? new Finding(Verdict.Ok, "disk write", text)
            : new Finding(Verdict.Warn, "disk write", $"{text}: a million meters at one packet per 30 s need {WriteBytesPerSecondWanted / 1e6:N0} MB/s", "fine for smaller fleets; otherwise use a faster disk");
    }

    private static Finding FlushLatency(string path)
    {
        var block = new byte[FlushBytes];
        var times = new List<TimeSpan>(Flushes);
        using var file = File.OpenHandle(path, FileMode.Create, FileAccess.Write);
        for (var i = 0; i < Flushes; i++)
        {
            var start = Stopwatch.GetTimestamp();
            RandomAccess.Write(file, block, (long)i * FlushBytes);
            RandomAccess.FlushToDisk(file);
            times.Add(Stopwatch.GetElapsedTime(start));
        }

        times.Sort();
        var (median, worst) = (times[Flushes / 2], times[^1]);
        var text = string.Create(CultureInfo.InvariantCulture, $"{median.TotalMilliseconds:0.00} ms median, {worst.TotalMilliseconds:0.0} ms worst to flush 4 KiB");
        if (median <= FlushFine)
            return new Finding(Verdict.Ok, "disk flush", text);
        return new Finding(
            Verdict.Warn, "disk flush", median <= FlushBad ? $"{text}: every acknowledgement waits at least so long" : $"{text}: acknowledgements will be slow",
            "nothing is lost by it; a disk with a protected write cache answers in well under a millisecond");
    }

    /// <param name="made">The topmost folder that had to be made, to be removed again; null when all was there.</param>
    private static bool TryMakeFolder(string data, out string? made, out string fault)
    {
        made = null;
        fault = "";
        try
        {
            for (var folder = data; !Directory.Exists(folder); folder = Path.GetDirectoryName(folder)!)
                made = folder;
            Directory.CreateDirectory(data);
            var probe = Path.Combine(data, $".doctor-{Environment.ProcessId}");
            File.WriteAllText(probe, "");
            File.Delete(probe);
            return true;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            fault = e.Message;
            return false;
        }
    }

    private static IEnumerable<Finding> Guarded(Func<IEnumerable<Finding>> check)
    {
        try
        {
            return check();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return [new Finding(Verdict.Fail, "disk", $"cannot be measured: {e.Message}", "make the data folder writable for this user")];
        }
    }
}
