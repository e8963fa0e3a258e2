using Millrace.Core;
using Millrace.Log.Format;
using Millrace.Log.Segments;
using Millrace.Log.Tests.Simulation;
using Millrace.Testing;

namespace Millrace.Log.Tests;

public sealed class RecoveryTests
{
    private static readonly LogOptions OneSegment = TestLog.Small("/sim/log") with { SegmentBytes = 16 << 20 };

    private readonly SimulatedDisk _disk = new(7);

    private string OnlySegment => _disk.Names.Single(n => n.EndsWith(Segment.Extension, StringComparison.Ordinal));

    [Fact]
    public async Task A_torn_tail_is_cut()
    {
        var before = await WriteAndKillAsync(OneSegment, 50);
        var length = _disk.BytesOf(OnlySegment).Length;
        using (var file = _disk.Open(OnlySegment, Disk.DiskOpen.ReadWrite))
            file.WriteAt(length, [.. BlockHeader.Magic, .. new byte[500]]);

        await using var log = await TestLog.OpenAsync(OneSegment, _disk);

        Assert.Equal(before, log.ReadAll());
        Assert.Empty(log.Log.RecoveryLosses);
        Assert.Equal(50, Enumerable.Range(0, 4).Sum(p => log.Log.Durable[p]));
    }

    [Fact]
    public async Task Damage_inside_records_is_kept_reported_and_read_around()
    {
        var before = await WriteAndKillAsync(OneSegment, 50);
        var hit = Blocks()[20];
        _disk.Rot(OnlySegment, hit.Offset + BlockHeader.Bytes + 5, 3);
        var bytes = _disk.BytesOf(OnlySegment);

        await using var log = await TestLog.OpenAsync(OneSegment, _disk);

        var lost = new LostRange(hit.Header.Partition, hit.Header.FirstSequence, hit.Header.NextSequence);
        Assert.Equal([lost], log.Log.RecoveryLosses);
        using var reader = log.Log.OpenReader(new PositionVector(4));
        Assert.Equal(before.Where(r => r.Partition != lost.Partition || r.Sequence < lost.From || r.Sequence >= lost.To), TestLog.Drain(reader));
        Assert.Equal(lost, reader.TakeLost());
        Assert.Null(reader.TakeLost());
        Assert.Equal(bytes, _disk.BytesOf(OnlySegment)[..bytes.Length]);
    }

    [Fact]
    public async Task A_zeroed_stretch_over_several_blocks_is_damage_with_its_sequences()
    {
        var before = await WriteAndKillAsync(OneSegment, 50);
        var blocks = Blocks();
        _disk.Zero(OnlySegment, blocks[10].Offset - 3, (int)(blocks[15].Offset - blocks[10].Offset));
        var gone = blocks[9..15].Select(b => b.Header).ToList();

        await using var log = await TestLog.OpenAsync(OneSegment, _disk);

        Assert.Equal(gone.Sum(h => h.Count), log.Log.RecoveryLosses.Sum(l => l.To - l.From));
        var rest = log.ReadAll();
        Assert.Equal(before.Where(r => !gone.Any(h => h.Partition == r.Partition && r.Sequence >= h.FirstSequence && r.Sequence < h.NextSequence)), rest);
    }

    [Fact]
    public async Task A_sequence_that_damage_may_have_hidden_is_never_given_twice()
    {
        // The last group but one holds the only readings of its partition; only the group behind it proves it was durable.
        var before = await WriteAndKillAsync(OneSegment, 50, ("lonely", "a"), ("other", "b"));
        var blocks = Blocks();
        Assert.NotEqual(blocks[^1].Header.Partition, blocks[^2].Header.Partition);
        _disk.Zero(OnlySegment, blocks[^2].Offset, BlockHeader.Bytes);

        await using var log = await TestLog.OpenAsync(OneSegment, _disk);
        var position = await log.AppendAsync("lonely", "c");

        var hidden = before.Single(r => r.Value == "a");
        Assert.Equal(hidden.Partition, position.Partition);
        Assert.True(position.Sequence > hidden.Sequence);
        Assert.Contains(log.Log.RecoveryLosses, l => l.Partition == hidden.Partition && l.From == hidden.Sequence && l.To == position.Sequence);
    }

    [Fact]
    public async Task After_a_clean_stop_even_the_last_group_cannot_be_taken_for_torn()
    {
        await using (var log = await TestLog.OpenAsync(OneSegment, _disk))
            await log.FillAsync(20);
        var last = Blocks()[^1];
        _disk.Rot(OnlySegment, last.Offset + 8, 4);

        await using var again = await TestLog.OpenAsync(OneSegment, _disk);

        Assert.Equal([new LostRange(last.Header.Partition, last.Header.FirstSequence, last.Header.NextSequence)], again.Log.RecoveryLosses);
        Assert.Equal(19, again.ReadAll().Count);
        Assert.Equal(last.Header.NextSequence, again.Log.Durable[last.Header.Partition]);
    }

    [Fact]
    public async Task A_block_sent_as_a_payload_is_not_taken_for_a_block_when_its_carrier_is_damaged()
    {
        await WriteAndKillAsync(OneSegment, 5);
        var image = _disk.BytesOf(OnlySegment)[SegmentHeader.Bytes..];
        await using (var log = await TestLog.OpenAsync(OneSegment, _disk))
        {
            var batch = new ReadingBatch(4);
            batch.Add(0, "thief"u8, ListenerId.Http, PayloadFormat.Binary, ReadingFlags.None, Micros.None, [], image);
            await log.Appender.AppendAsync(batch, CancellationToken.None);
        }

        var carrier = Blocks().Single(b => b.Header.Length > image.Length);
        _disk.Rot(OnlySegment, carrier.Offset, 4);

        await using var again = await TestLog.OpenAsync(OneSegment, _disk);

        Assert.Equal(5, again.ReadAll().Count);
        Assert.Equal(1, again.Log.RecoveryLosses.Sum(l => l.To - l.From));
    }

    [Fact]
    public async Task A_sector_that_cannot_be_read_among_flushed_blocks_is_damage_and_read_around()
    {
        var before = await WriteAndKillAsync(OneSegment, 400);
        var bytes = _disk.BytesOf(OnlySegment);
        var disk = new FailingReads(_disk, OnlySegment, 3 * 4096, 3 * 4096 + 512);

        await using var log = await TestLog.OpenAsync(OneSegment, disk);

        var lost = log.Log.RecoveryLosses;
        Assert.NotEmpty(lost);
        Assert.Equal(before.Where(r => !lost.Any(l => l.Partition == r.Partition && r.Sequence >= l.From && r.Sequence < l.To)), log.ReadAll());
        Assert.Equal(bytes, _disk.BytesOf(OnlySegment)[..bytes.Length]);
        await log.AppendAsync("m", "goes on");
        Assert.Equal("goes on", log.ReadAll()[^1].Value);
    }

    [Fact]
    public async Task A_sector_that_cannot_be_read_at_the_end_fails_the_opening_and_cuts_nothing()
    {
        await WriteAndKillAsync(OneSegment, 400);
        var bytes = _disk.BytesOf(OnlySegment);
        var disk = new FailingReads(_disk, OnlySegment, bytes.Length - 10, bytes.Length);

        var error = await Assert.ThrowsAsync<IOException>(() => TestLog.OpenAsync(OneSegment, disk));

        Assert.Contains("nothing was cut", error.Message);
        Assert.Equal(bytes, _disk.BytesOf(OnlySegment));
    }

    [Fact]
    public async Task One_damaged_copy_of_a_segment_header_does_no_harm()
    {
        var before = await WriteAndKillAsync(OneSegment, 20);
        _disk.Rot(OnlySegment, 0, 100);

        await using var log = await TestLog.OpenAsync(OneSegment, _disk);

        Assert.Equal(before, log.ReadAll());
    }

    [Fact]
    public async Task A_segment_that_lost_both_header_copies_is_read_by_what_its_predecessor_says()
    {
        var before = await WriteAndKillAsync(TestLog.Small("/sim/log"), 2000);
        foreach (var segment in _disk.Names.Where(n => n.EndsWith(Segment.Extension, StringComparison.Ordinal)).Order().Skip(1))
            _disk.Zero(segment, 0, SegmentHeader.Bytes);

        await using var log = await TestLog.OpenAsync(TestLog.Small("/sim/log"), _disk);

        Assert.Equal(before, log.ReadAll());
        await log.FillAsync(10);
        Assert.Equal(before.Count + 10, log.ReadAll().Count);
    }

    [Fact]
    public async Task A_first_segment_without_header_is_refused_and_left_alone()
    {
        await WriteAndKillAsync(OneSegment, 20);
        _disk.Zero(OnlySegment, 0, SegmentHeader.Bytes);
        var bytes = _disk.BytesOf(OnlySegment);

        await Assert.ThrowsAsync<LogFolderException>(() => TestLog.OpenAsync(OneSegment, _disk));

        Assert.Equal(bytes, _disk.BytesOf(OnlySegment));
    }

    [Fact]
    public async Task A_lost_meta_file_is_made_again_from_a_segment()
    {
        var before = await WriteAndKillAsync(OneSegment, 20);
        _disk.Rot("/sim/log/meta", 12, 4);

        await using var log = await TestLog.OpenAsync(OneSegment with { Partitions = 9 }, _disk);

        Assert.Equal((4, 20), (log.Log.PartitionCount, log.ReadAll().Count));
        Assert.Equal(before, log.ReadAll());
    }

    [Fact]
    public async Task A_folder_of_a_newer_release_is_refused()
    {
        await WriteAndKillAsync(OneSegment, 1);
        using (var meta = _disk.Open("/sim/log/meta", Disk.DiskOpen.ReadWrite))
        {
            var bytes = _disk.BytesOf("/sim/log/meta");
            bytes[8] = 2;
            var crc = Crc32C.Finish(Crc32C.Continue(Crc32C.Continue(Crc32C.Start, bytes.AsSpan(0, 12)), bytes.AsSpan(16)));
            BitConverter.TryWriteBytes(bytes.AsSpan(12), crc);
            meta.WriteAt(0, bytes);
        }

        var refusal = await Assert.ThrowsAsync<LogFolderException>(() => TestLog.OpenAsync(OneSegment, _disk));

        Assert.Contains("version 2", refusal.Message);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_missing_or_damaged_index_is_made_again(bool rotten)
    {
        var options = TestLog.Small("/sim/log");
        await WriteAndKillAsync(options, 2000);
        List<Stored> expected;
        await using (var log = await TestLog.OpenAsync(options, _disk))
            expected = log.ReadAll();
        foreach (var index in _disk.Names.Where(n => n.EndsWith(Segment.IndexExtension, StringComparison.Ordinal)).ToList())
        {
            if (rotten)
                _disk.Rot(index, 60, 8);
            else
                _disk.Delete(index);
        }

        await using var again = await TestLog.OpenAsync(options, _disk);

        var at = expected[expected.Count / 2];
        var place = again.Log.PositionAt(at.ReceivedAt);
        Assert.Equal(expected.Skip(expected.Count / 2), again.ReadFrom(place));
    }

    [Fact]
    public async Task Damage_in_a_sealed_segment_is_met_by_readers_and_told()
    {
        var options = TestLog.Small("/sim/log");
        var before = await WriteAndKillAsync(options, 2000);
        var first = _disk.Names.Where(n => n.EndsWith(Segment.Extension, StringComparison.Ordinal)).Order().First();
        _disk.Rot(first, SegmentHeader.Bytes + 5000, 2000);

        await using var log = await TestLog.OpenAsync(options, _disk);
        using var reader = log.Log.OpenReader(log.Log.Oldest);
        var read = TestLog.Drain(reader);

        List<LostRange> lost = [];
        while (reader.TakeLost() is { } range)
            lost.Add(range);
        Assert.NotEmpty(lost);
        Assert.Equal(before.Where(r => !lost.Any(l => l.Partition == r.Partition && r.Sequence >= l.From && r.Sequence < l.To)), read);
        Assert.Equal(before.Count, read.Count + lost.Sum(l => l.To - l.From));
    }

    private async Task<List<Stored>> WriteAndKillAsync(LogOptions options, int readings, params (string Id, string Value)[] last)
    {
        var log = await TestLog.OpenAsync(options, _disk);
        await log.FillAsync(readings);
        foreach (var (id, value) in last)
            await log.AppendAsync(id, value);
        var all = log.ReadAll();
        _disk.Kill();
        await log.DisposeAsync();
        return all;
    }

    private List<(long Offset, BlockHeader Header)> Blocks()
    {
        var metaBytes = _disk.BytesOf("/sim/log/meta");
        using var file = _disk.Open(OnlySegment, Disk.DiskOpen.Read);
        var scanner = new BlockScanner(file, 0, LogMeta.Read(metaBytes)!, ScanScope.Everything, 4096, readAroundErrors: false);
        List<(long, BlockHeader)> blocks = [];
        while (scanner.Next(file.Length) is var step && step != ScanStep.End)
        {
            if (step == ScanStep.Block && scanner.Header.Kind == BlockKind.Records)
                blocks.Add((scanner.BlockOffset, scanner.Header));
        }

        return blocks;
    }

    /// <summary>Lets every read fail that touches [from, to) of one file.</summary>
    private sealed class FailingReads(SimulatedDisk disk, string broken, long from, long to) : Disk.IDisk
    {
        public void CreateFolder(string folder) => disk.CreateFolder(folder);

        public IReadOnlyList<Disk.DiskEntry> List(string folder) => disk.List(folder);

        public Disk.IDiskFile Open(string path, Disk.DiskOpen how) => path == broken ? new File(from, to, disk.Open(path, how)) : disk.Open(path, how);

        public void Rename(string from, string to) => disk.Rename(from, to);

        public void Delete(string path) => disk.Delete(path);

        public void SyncFolder(string folder) => disk.SyncFolder(folder);

        public (long Free, long Total) Space(string folder) => disk.Space(folder);

        private sealed class File(long from, long to, Disk.IDiskFile file) : Disk.IDiskFile
        {
            public long Length => file.Length;

            public int ReadAt(long offset, Span<byte> target) =>
                offset < to && offset + target.Length > from ? throw new IOException("cannot be read") : file.ReadAt(offset, target);

            public void WriteAt(long offset, ReadOnlySpan<byte> bytes) => file.WriteAt(offset, bytes);

            public void Flush() => file.Flush();

            public void Truncate(long length) => file.Truncate(length);

            public void Dispose() => file.Dispose();
        }
    }
}
