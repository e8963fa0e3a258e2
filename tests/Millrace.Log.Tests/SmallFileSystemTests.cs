using System.Diagnostics;
using Millrace.Core;
using Millrace.Log.Disk;
using Millrace.Testing;

namespace Millrace.Log.Tests;

/// <summary>A real file system of one megabyte; needs the right to mount one.</summary>
public sealed class SmallFileSystemTests
{
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_full_file_system_refuses_clearly_loses_nothing_and_goes_on(bool promisesRoom)
    {
        using var folder = new TempFolder();
        Assert.SkipUnless(OperatingSystem.IsLinux() && Run("mount", "-t", "tmpfs", "-o", "size=1m", "millrace-test", folder.Path), "needs the right to mount a tmpfs");
        try
        {
            var ballast = folder["ballast"];
            await File.WriteAllBytesAsync(ballast, new byte[400 << 10]);
            var disk = new Promising { On = promisesRoom };
            var options = TestLog.Small(folder["log"]) with { RetentionBytes = long.MaxValue };
            await using (var log = await TestLog.OpenAsync(options, disk))
            {
                var stored = 0;
                var refusal = await Assert.ThrowsAsync<LogUnavailableException>(async () =>
                {
                    for (; ; stored++)
                        await log.AppendAsync("m", $"{stored}".PadRight(3000));
                });
                Assert.Equal(LogState.Full, refusal.State);
                Assert.Equal(stored, log.ReadAll().Count);

                File.Delete(ballast);
                disk.On = false;
                await AcceptAgainAsync(log);
                await log.AppendAsync("m", "after");
                Assert.Equal(stored + 1, log.ReadAll().Count);
            }

            await using var again = await TestLog.OpenAsync(options);
            Assert.Equal("after", again.ReadAll()[^1].Value);
        }
        finally
        {
            Assert.True(Run("umount", folder.Path));
        }
    }

    [Fact]
    public async Task A_file_system_without_room_for_another_name_is_a_full_disk_and_not_a_failed_one()
    {
        using var folder = new TempFolder();
        Assert.SkipUnless(OperatingSystem.IsLinux() && Run("mount", "-t", "tmpfs", "-o", "size=4m,nr_inodes=12", "millrace-test", folder.Path), "needs the right to mount a tmpfs");
        try
        {
            var options = TestLog.Small(folder["log"]) with { RetentionBytes = long.MaxValue };
            await using (var log = await TestLog.OpenAsync(options))
            {
                var refusal = await Assert.ThrowsAsync<LogUnavailableException>(() => log.FillAsync(4000));
                Assert.Equal((LogState.Full, LogState.Full), (refusal.State, log.Log.State));
                Assert.Equal(log.ReadAll().Count, log.Ledger.Stored);
            }

            Assert.True(Run("mount", "-o", "remount,nr_inodes=0", folder.Path));
            await using var again = await TestLog.OpenAsync(options);
            await again.AppendAsync("m", "after");
            Assert.Equal("after", again.ReadAll()[^1].Value);
        }
        finally
        {
            Assert.True(Run("umount", folder.Path));
        }
    }

    private static async Task AcceptAgainAsync(TestLog log)
    {
        using var deadline = new CancellationTokenSource(TimeSpan.FromSeconds(30));
        log.Time.Advance(TimeSpan.FromSeconds(1));
        while (log.Log.State != LogState.Accepting)
        {
            deadline.Token.ThrowIfCancellationRequested();
            await Task.Yield();
        }
    }

    private static bool Run(string program, params string[] arguments)
    {
        try
        {
            using var process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardError = true })!;
            process.WaitForExit();
            return process.ExitCode == 0;
        }
        catch (System.ComponentModel.Win32Exception)
        {
            return false;
        }
    }

    /// <summary>The real disk; when on it promises room that is not there, so that the write itself runs into the wall.</summary>
    private sealed class Promising : IDisk
    {
        private static readonly PhysicalDisk Real = PhysicalDisk.Instance;

        public bool On { get; set; }

        public void CreateFolder(string folder) => Real.CreateFolder(folder);

        public IReadOnlyList<DiskEntry> List(string folder) => Real.List(folder);

        public IDiskFile Open(string path, DiskOpen how) => Real.Open(path, how);

        public void Rename(string from, string to) => Real.Rename(from, to);

        public void Delete(string path) => Real.Delete(path);

        public void SyncFolder(string folder) => Real.SyncFolder(folder);

        public (long Free, long Total) Space(string folder) => On ? (1L << 40, 1L << 40) : Real.Space(folder);
    }
}
