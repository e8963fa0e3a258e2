using Millrace.Core;
using Millrace.Testing;

namespace Millrace.Log.Tests;

public sealed class LogFolderTests
{
    [Fact]
    public async Task A_folder_is_read_while_a_server_writes_it()
    {
        using var folder = new TempFolder();
        await using var log = await TestLog.OpenAsync(TestLog.Small(folder["log"]));
        await log.FillAsync(800);

        using var beside = LogFolder.OpenForReading(folder["log"]);
        await log.FillAsync(1);

        using var reader = beside.OpenReader(beside.Oldest);
        var read = TestLog.Drain(reader);
        Assert.Equal(log.ReadAll().Take(800), read);
        Assert.Equal(800, Enumerable.Range(0, 4).Sum(p => beside.Durable[p]));
        using var partition = beside.OpenReaderAt(2, 5);
        Assert.Equal(read.Where(r => r.Partition == 2 && r.Sequence >= 5), TestLog.Drain(partition));
    }

    [Fact]
    public async Task A_torn_tail_is_passed_over_and_left_where_it_is()
    {
        using var folder = new TempFolder();
        await using (var log = await TestLog.OpenAsync(TestLog.Small(folder["log"])))
            await log.FillAsync(10);
        var segment = Directory.GetFiles(folder["log"], "*.segment").Single();
        await File.AppendAllBytesAsync(segment, new byte[777]);
        var before = await File.ReadAllBytesAsync(segment);

        using var beside = LogFolder.OpenForReading(folder["log"]);

        using var reader = beside.OpenReader(beside.Oldest);
        Assert.Equal(10, TestLog.Drain(reader).Count);
        Assert.Equal(before, await File.ReadAllBytesAsync(segment));
    }

    [Fact]
    public void A_folder_without_a_log_is_refused_by_name()
    {
        using var folder = new TempFolder();

        Assert.Contains(folder.Path, Assert.Throws<LogFolderException>(() => LogFolder.OpenForReading(folder.Path)).Message);
        Assert.Throws<LogFolderException>(() => LogFolder.OpenForReading(folder["missing"]));
    }
}
