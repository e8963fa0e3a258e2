using System.Buffers;
using System.Text;
using Millrace.Core;
using Millrace.Testing;

namespace Millrace.Log.Tests;

/// <summary>Folders written by released formats, opened for ever. They are never written again; a new format adds one.</summary>
public sealed class GoldenTests
{
    private static string V1 => Path.Combine(AppContext.BaseDirectory, "Golden", "v1");

    [Fact]
    public async Task A_folder_of_format_1_is_opened_and_continued()
    {
        using var folder = new TempFolder();
        foreach (var file in Directory.GetFiles(V1))
            File.Copy(file, folder[Path.GetFileName(file)]);

        await using var log = await TestLog.OpenAsync(TestLog.Small(folder.Path));

        Check(log.Log.OpenReader(log.Log.Oldest));
        await log.AppendAsync("device-0", "next");
        Assert.Equal(13, Enumerable.Range(0, 4).Sum(p => log.Log.Durable[p]));
    }

    [Fact]
    public void A_folder_of_format_1_is_read_in_place()
    {
        using var log = LogFolder.OpenForReading(V1);

        Check(log.OpenReader(log.Oldest));
        Assert.Equal(4, log.PartitionCount);
    }

    [Fact]
    public async Task What_is_written_today_reads_like_the_golden_folder()
    {
        using var folder = new TempFolder();
        await WriteAsync(Environment.GetEnvironmentVariable("MILLRACE_WRITE_GOLDEN") ?? folder.Path);

        if (Environment.GetEnvironmentVariable("MILLRACE_WRITE_GOLDEN") is null)
        {
            using var log = LogFolder.OpenForReading(folder.Path);
            Check(log.OpenReader(log.Oldest));
        }
    }

    private static async Task WriteAsync(string folder)
    {
        await using var log = await TestLog.OpenAsync(TestLog.Small(folder) with { SegmentAge = TimeSpan.FromMinutes(1) });
        for (var i = 0; i < 12; i++)
        {
            var batch = new ReadingBatch(4);
            Add(batch, i);
            await log.Appender.AppendAsync(batch, CancellationToken.None);
            log.Time.Advance(TimeSpan.FromSeconds(10)); // A segment is sealed on the way.
        }
    }

    private static void Check(ILogReader reader)
    {
        var expected = 0;
        using (reader)
        {
            while (reader.TryRead() is { } block)
            {
                foreach (var record in block)
                {
                    var batch = new ReadingBatch(4);
                    Add(batch, expected);
                    Assert.Equal(batch.PositionOf(0).Partition, block.Partition);
                    Assert.True(record.Bytes.SequenceEqual(batch.RecordsOf(block.Partition)), $"reading {expected} differs");
                    Assert.Equal(Micros.FromDateTime(new DateTime(2026, 1, 15, 12, 0, 0, DateTimeKind.Utc)) + (expected * 10 * Micros.PerSecond), record.ReceivedAt);
                    expected++;
                }
            }

            Assert.Null(reader.TakeLost());
        }

        Assert.Equal(12, expected);
    }

    /// <summary>Reading i: every listener, format and flag once, with and without device time and properties.</summary>
    private static void Add(ReadingBatch batch, int i)
    {
        var properties = new ArrayBufferWriter<byte>();
        if (i % 3 == 0)
        {
            ReadingProperties.Append(properties, ReadingProperties.RemoteAddress, Encoding.UTF8.GetBytes($"192.0.2.{i}"));
            ReadingProperties.Append(properties, "rssi"u8, [(byte)i]);
        }

        batch.Add(
            (ushort)(i / 5), Encoding.UTF8.GetBytes($"device-{i % 7}"), (ListenerId)(1 + (i % 10)), (PayloadFormat)(1 + (i % 7)),
            (ReadingFlags)(i % 2), i % 4 == 0 ? Micros.None : 1_768_478_400_000_000 - i, properties.WrittenSpan,
            Encoding.UTF8.GetBytes($"{{\"value\":{i},\"städte\":\"Köln\"}}\0\n"));
    }
}
