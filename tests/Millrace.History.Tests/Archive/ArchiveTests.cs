using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Microsoft.Extensions.Logging.Abstractions;
using Millrace.Core;
using Millrace.History.Archive;
using Millrace.Parquet;
using Millrace.Parquet.Tests.Support;
using Millrace.Testing;

namespace Millrace.History.Tests.Archive;

public sealed class ArchiveTests(Peers peers) : IClassFixture<Peers>
{
    private const long Day = 86_400_000_000;

    private static readonly ArchiveOptions Options = new() { MergeFiles = 3 };

    [Fact]
    public async Task Every_reading_stands_in_the_history_once_whatever_crashes_between()
    {
        var seeds = Enumerable.Range(1, 40);
        foreach (var seed in seeds)
            await RunWithCrashesAsync(seed);
    }

    [Fact]
    public async Task The_days_of_a_reading_are_those_of_its_own_time_and_merging_changes_no_value()
    {
        using var folder = new TestFolder();
        var log = new TestLog(2);
        var view = await OpenAsync(folder.Path, log);
        for (var i = 0; i < 9; i++)
        {
            await ApplyAsync(view, log.Append(i % 2, ("b", -(i / 3) * Day, $$"""{"n":{{i}}}""", 0), ("a", 0, $$"""{"n":"{{i}}"}""", 0)));
            await view.CheckpointAsync(log.Durable, default);
        }

        var before = ReadAll(folder.Path, 0);
        var files = Directory.GetFiles(folder.Path, "*.parquet", SearchOption.AllDirectories).Length;
        while (view.MergeOne())
        {
        }

        Assert.Equal(before.Select(Show), ReadAll(folder.Path, 0).Select(Show));
        Assert.InRange(Directory.GetFiles(folder.Path, "*.parquet", SearchOption.AllDirectories).Length, 1, files / 2);
        Assert.Equal(["date=2026-02-27", "date=2026-02-28", "date=2026-03-01"],
            Directory.GetDirectories(Path.Combine(folder.Path, "tenant=0")).Select(Path.GetFileName).Order());
    }

    [Fact]
    public async Task A_replay_is_in_order_of_arrival_and_holds_few_readings_at_once()
    {
        using var folder = new TestFolder();
        var log = new TestLog(3);
        var view = await OpenAsync(folder.Path, log);
        var random = new Random(1);
        for (var i = 0; i < 60; i++)
        {
            await ApplyAsync(view, log.Append(random.Next(3), [.. Enumerable.Range(0, 10)
                .Select(k => ($"d{random.Next(5)}", -random.NextInt64(3 * Day), $$"""{"i":{{i * 10 + k}}}""", (ushort)0))]));
            if (i % 10 == 9)
                await view.CheckpointAsync(log.Durable, default);
        }

        var (from, to) = (log.Readings[100].ReceivedAt, log.Readings[500].ReceivedAt);
        foreach (var (roundRows, sortBytes) in new[] { (7, 1), (100, 3000), (100_000, 3000), (100_000, 1 << 20) })
        {
            var reader = new ArchiveReader(folder.Path, null, new ArchiveReaderOptions { RoundRows = roundRows, SortBytesMax = sortBytes });
            var replayed = reader.Replay(new ReplayRange { From = from, To = to, Tenant = 0 }).Select(r => r.Keep()).ToList();
            Assert.Equal(log.Readings[100..500].Select(r => (r.ReceivedAt, r.Partition, r.Sequence, r.Json)),
                replayed.Select(r => (r.ReceivedAt, r.Partition, r.Sequence, Encoding.UTF8.GetString(r.Json.Span))));
        }
    }

    [Fact]
    public async Task The_past_goes_on_in_the_log_where_the_history_ends_whatever_place_it_is_read_from()
    {
        using var folder = new TestFolder();
        var log = new MemoryLog(3);
        var ledger = new ListenerLedger(ListenerId.Http);
        var appender = log.OpenAppender(ledger, 1 << 20);
        var random = new Random(4);
        for (var i = 0; i < 40; i++)
            Assert.True(appender.TryAppend(RandomBatch(random, log.PartitionCount)));
        var view = new ArchiveView(new LocalHistoryStore(folder.Path, flush: false), Options, NullLogger.Instance);
        await view.OpenAsync(log, default);
        foreach (var block in log.Blocks.Take(70))
            await view.ApplyAsync(block, default);
        await view.CheckpointAsync(log.Durable, default);
        var all = log.Blocks.SelectMany(Places).ToList();

        // Retention takes what the history has, and less.
        log.ForgetBlocks(50);
        var history = new ArchiveReader(folder.Path, report => Assert.Fail(report));
        using var fromStart = new PastReader(log, history, new PositionVector(3));
        Assert.Equal(all, Drain(fromStart));
        Assert.Equal(log.Durable, fromStart.Position);
        using var fromTime = new PastReader(log, history, all[33].ReceivedAt);
        Assert.Equal(all[33..], Drain(fromTime));

        // A reader goes on at the position of another, wherever that stands.
        foreach (var blocks in new[] { 1, 20, 60, 90 })
        {
            using var first = new PastReader(log, history, new PositionVector(3));
            var begun = Enumerable.Range(0, blocks).SelectMany(_ => first.TryRead() is { } block ? Places(block) : []).ToList();
            using var second = new PastReader(log, history, first.Position.Copy());
            Assert.Equal(all, begun.Concat(Drain(second)));
        }
    }

    [Fact]
    public async Task A_missing_and_a_truncated_file_are_reported_and_the_rest_is_served()
    {
        using var folder = new TestFolder();
        var log = new TestLog(1);
        var view = await OpenAsync(folder.Path, log);
        for (var i = 0; i < 4; i++)
        {
            await ApplyAsync(view, log.Append(0, ("a", 0, $$"""{"n":{{i}}}""", 0)));
            await view.CheckpointAsync(log.Durable, default);
        }

        var files = Directory.GetFiles(folder.Path, "*.parquet", SearchOption.AllDirectories).Order().ToList();
        File.Delete(files[0]);
        File.WriteAllBytes(files[2], File.ReadAllBytes(files[2])[..100]);

        var reports = new List<string>();
        var read = new ArchiveReader(folder.Path, reports.Add).ReadDevice(0, "a", 0, long.MaxValue).Select(r => r.Sequence);

        Assert.Equal([1, 3], read);
        Assert.Equal(2, reports.Count);
        Assert.True((await OpenAsync(folder.Path, log)).MergeOne());
        Assert.Equal([1, 3], new ArchiveReader(folder.Path).ReadDevice(0, "a", 0, long.MaxValue).Select(r => r.Sequence));
    }

    [Theory]
    [InlineData(null)]
    [InlineData("")]
    [InlineData("null")]
    [InlineData("{}")]
    [InlineData("{\"version\":1,\"files\":[{")]
    public async Task A_manifest_that_is_missing_or_damaged_is_made_again_from_the_files(string? content)
    {
        using var folder = new TestFolder();
        var log = new TestLog(2);
        var view = await OpenAsync(folder.Path, log);
        for (var i = 0; i < 4; i++)
        {
            await ApplyAsync(view, log.Append(i % 2, ("a", 0, $$"""{"n":{{i}}}""", 0), ("b", -Day, "{}", 0), ("c", 0, "{}", 1)));
            await view.CheckpointAsync(log.Durable, default);
            if (i == 2)
                Assert.True(view.MergeOne());
        }

        await ApplyAsync(view, log.Append(0, ("c", 0, "{}", 1)));
        await view.CheckpointAsync(log.Durable, default);
        var manifests = Directory.GetFiles(folder.Path, "manifest.json", SearchOption.AllDirectories).Order().ToList();
        var before = await File.ReadAllTextAsync(manifests[1]);
        if (content is null)
            File.Delete(manifests[1]);
        else
            await File.WriteAllTextAsync(manifests[1], content);

        // Whoever reads meanwhile has the other days.
        var reports = new List<string>();
        Assert.Equal(9, new ArchiveReader(folder.Path, reports.Add).Replay(new ReplayRange()).Count());
        Assert.Equal(content is null ? 0 : 1, reports.Distinct().Count());

        view = await OpenAsync(folder.Path, log);
        Assert.Equal(before, await File.ReadAllTextAsync(manifests[1]));
        await ApplyAsync(view, log.Append(0, ("a", 0, "{}", 0)));
        await view.CheckpointAsync(log.Durable, default);
        Assert.Equal(log.Readings.Select(r => (r.Partition, r.Sequence)), new ArchiveReader(folder.Path, Assert.Fail).Replay(new ReplayRange()).Select(r => (r.Partition, r.Sequence)));
    }

    [Fact]
    public async Task A_manifest_made_again_takes_nothing_that_was_not_committed_or_is_replaced()
    {
        using var folder = new TestFolder();
        var log = new TestLog(1);
        var view = await OpenAsync(folder.Path, log);
        for (var i = 0; i < 3; i++)
        {
            await ApplyAsync(view, log.Append(0, ("a", 0, "{}", 0)));
            await view.CheckpointAsync(log.Durable, default);
        }

        // As a store that cannot rename is left by a crash: what was merged beside what it was merged from, and a file of no commit.
        var hour = Path.GetDirectoryName(Directory.GetFiles(folder.Path, "r0-*.parquet", SearchOption.AllDirectories)[0])!;
        var old = Directory.GetFiles(hour, "r0-*.parquet").ToDictionary(path => path, File.ReadAllBytes);
        Assert.True(view.MergeOne());
        foreach (var (path, bytes) in old)
            await File.WriteAllBytesAsync(path, bytes);
        await File.WriteAllBytesAsync(Path.Combine(hour, "r0-000000000003-000000000004.parquet"), old.Values.First());
        File.Delete(Path.Combine(hour, "..", "manifest.json"));

        await OpenAsync(folder.Path, log);
        Assert.Equal([0, 1, 2], ReadAll(folder.Path, 0).Select(r => r.Sequence));
    }

    [Fact]
    public async Task Parquet_of_another_shape_under_the_name_of_a_file_is_as_damaged_as_any()
    {
        using var folder = new TestFolder();
        var log = new TestLog(1);
        var view = await OpenAsync(folder.Path, log);
        for (var i = 0; i < 4; i++)
        {
            await ApplyAsync(view, log.Append(0, ("a", 0, "{}", 0)));
            await view.CheckpointAsync(log.Durable, default);
        }

        var file = Directory.GetFiles(folder.Path, "*.parquet", SearchOption.AllDirectories).Order().First();
        await using (var other = File.Create(file))
        {
            var writer = new ParquetWriter(other, [ParquetColumn.Double("x")]);
            writer[0].Add(1.0);
            writer.CommitRows();
            writer.Complete();
        }

        view = await OpenAsync(folder.Path, log);
        await view.IdleAsync(default);
        Assert.True(view.MergeOne());
        var reports = new List<string>();
        var reader = new ArchiveReader(folder.Path, reports.Add);
        Assert.Equal([1, 2, 3], reader.Replay(new ReplayRange()).Select(r => r.Sequence));
        Assert.Equal([1, 2, 3], reader.ReadDevice(0, "a", 0, long.MaxValue).Select(r => r.Sequence));
        Assert.Contains("not a file of the history", Assert.Single(reports.Distinct()));
    }

    [Fact]
    public async Task A_clock_that_is_years_behind_makes_no_folder_of_its_own()
    {
        using var folder = new TestFolder();
        var log = new TestLog(1);
        var view = await OpenAsync(folder.Path, log);
        await ApplyAsync(view, log.Append(0, ("a", -20_000 * Day, "{}", 0), ("a", 0, "{}", 0)));
        await view.CheckpointAsync(log.Durable, default);

        Assert.Single(Directory.GetDirectories(Path.Combine(folder.Path, "tenant=0")));
        Assert.Equal(2, ReadAll(folder.Path, 0).Count);
    }

    [Fact]
    public async Task DuckDB_reads_the_folder_with_exact_counts_and_sums_before_and_after_merging()
    {
        peers.SkipUnlessAvailable();
        using var folder = new TestFolder();
        var log = new TestLog(4);
        var view = await OpenAsync(folder.Path, log);
        for (var i = 0; i < 24; i++)
        {
            await ApplyAsync(view, log.Append(i % 4, [.. Enumerable.Range(0, 500)
                .Select(k => ($"meter-{k % 50}", -(long)i * Day / 10, $$"""{"used":{{k}},"on":true,"tags":[1],"time":5}""", (ushort)(k % 2)))]));
            await view.CheckpointAsync(log.Durable, default);
        }

        var sql = $"""
            SELECT count(*)::VARCHAR, sum(used)::VARCHAR, count(DISTINCT (partition, sequence))::VARCHAR, sum("on"::INTEGER)::VARCHAR,
                   count(rest)::VARCHAR, min(rest ->> 'tags'), sum("time%")::VARCHAR, count(DISTINCT tenant)::VARCHAR
            FROM read_parquet('{folder.Path}/tenant=*/date=*/hour=*/*.parquet', hive_partitioning = true, union_by_name = true)
            """;
        var expected = """[["12000","2994000.0","12000","12000","12000","[1]","60000.0","2"]]""";

        Assert.Equal(expected, peers.Run("sql.mjs", sql).GetRawText());
        while (view.MergeOne())
        {
        }

        Assert.Equal(expected, peers.Run("sql.mjs", sql).GetRawText());
    }

    [Fact]
    public async Task DuckDB_in_a_loop_during_merges_never_counts_a_reading_twice()
    {
        peers.SkipUnlessAvailable();
        using var folder = new TestFolder();
        var log = new TestLog(2);
        var view = await OpenAsync(folder.Path, log);
        await FillAsync(0);

        using var duck = peers.Open("loop.mjs");
        var sql = $"""
            SELECT count(*)::VARCHAR, count(DISTINCT (partition, sequence))::VARCHAR
            FROM read_parquet('{folder.Path}/tenant=*/date=*/hour=*/*.parquet', hive_partitioning = true, union_by_name = true)
            """;
        await duck.StandardInput.WriteLineAsync(JsonSerializer.Serialize(sql));
        await duck.StandardInput.FlushAsync();
        var answers = 0;
        for (var round = 1; round < 12; round++)
        {
            var most = log.Readings.Count;
            for (var asked = 0; asked < 6; asked++)
            {
                // Merging goes on while DuckDB lists, opens and reads.
                for (var merges = 0; merges < 3 && view.MergeOne(); merges++)
                {
                }

                var line = await duck.StandardOutput.ReadLineAsync().WaitAsync(TimeSpan.FromSeconds(60));
                var answer = JsonDocument.Parse(line!).RootElement;
                if (!answer.TryGetProperty("row", out var row))
                    continue; // A file was gone between listing and opening: DuckDB says so and counts nothing.
                answers++;
                Assert.InRange(long.Parse(row[0].GetString()!, System.Globalization.CultureInfo.InvariantCulture), 0, most);
                Assert.Equal(row[1].GetString(), row[0].GetString());
            }

            await FillAsync(round);
        }

        duck.StandardInput.Close();
        await duck.StandardOutput.ReadToEndAsync();
        await duck.WaitForExitAsync();
        Assert.InRange(answers, 10, int.MaxValue);

        async Task FillAsync(int round)
        {
            for (var i = 0; i < 9; i++)
            {
                await ApplyAsync(view, log.Append(i % 2, [.. Enumerable.Range(0, 200).Select(k => ($"d{k}", 0L, $$"""{"n":{{round}}}""", (ushort)0))]));
                await view.CheckpointAsync(log.Durable, default);
            }
        }
    }

    [Fact]
    public async Task Erasing_goes_on_past_a_damaged_file_and_names_it()
    {
        using var folder = new TestFolder();
        var log = new TestLog(1);
        var view = await OpenAsync(folder.Path, log);
        for (var i = 0; i < 3; i++)
        {
            await ApplyAsync(view, log.Append(0, ("gone", -i * Day, """{"n":1}""", 0), ("kept", -i * Day, """{"n":2}""", 0)));
            await view.CheckpointAsync(log.Durable, default);
        }

        var damaged = Directory.GetFiles(folder.Path, "*.parquet", SearchOption.AllDirectories).Order(StringComparer.Ordinal).ElementAt(1);
        File.WriteAllBytes(damaged, File.ReadAllBytes(damaged)[..200]);

        var erased = await view.EraseAsync(0, "gone", default);

        Assert.Equal((2, 0), (erased.Readings, erased.Remaining));
        Assert.Equal([Path.GetRelativePath(folder.Path, damaged)], erased.Unread);
        Assert.Equal(["kept", "kept"], new ArchiveReader(folder.Path).Replay(new ReplayRange()).Select(reading => reading.Keep().Device));
        Assert.True(File.Exists(damaged));
    }

    [Fact]
    public async Task A_file_that_is_cut_after_its_footer_was_read_is_reported_and_the_rest_is_served()
    {
        using var folder = new TestFolder();
        var log = new TestLog(1);
        var view = await OpenAsync(folder.Path, log);
        for (var i = 0; i < 3; i++)
        {
            await ApplyAsync(view, log.Append(0, ("a", 0, $$"""{"n":{{i}}}""", 0)));
            await view.CheckpointAsync(log.Durable, default);
        }

        var reports = new List<string>();
        // Room for one footer, so that others are forgotten and read again.
        foreach (var room in new[] { 32 << 20, 8 << 10 })
        {
            var reader = new ArchiveReader(folder.Path, reports.Add, new ArchiveReaderOptions { FooterBytesMax = room });
            for (var again = 0; again < 3; again++)
                Assert.Equal([0, 1, 2], reader.ReadDevice(0, "a", 0, long.MaxValue).Select(reading => reading.Sequence));
            Assert.Empty(reports);
            var file = Directory.GetFiles(folder.Path, "*.parquet", SearchOption.AllDirectories).Order(StringComparer.Ordinal).ElementAt(1);
            var whole = File.ReadAllBytes(file);
            File.WriteAllBytes(file, whole[..^10]);
            Assert.Equal([0, 2], reader.ReadDevice(0, "a", 0, long.MaxValue).Select(reading => reading.Sequence));
            Assert.Single(reports);
            reports.Clear();
            File.WriteAllBytes(file, whole);
        }
    }

    [Fact]
    public async Task An_erased_device_is_in_no_file_and_does_not_come_back_from_the_log()
    {
        using var folder = new TestFolder();
        var log = new TestLog(2);
        var view = await OpenAsync(folder.Path, log);
        for (var i = 0; i < 6; i++)
        {
            await ApplyAsync(view, log.Append(i % 2, ("gone", -i * Day, """{"n":1}""", 0), ("kept", -i * Day, """{"n":2}""", 0), ("gone", 0, "{}", 1)));
            await view.CheckpointAsync(log.Durable, default);
        }

        await ApplyAsync(view, log.Append(0, ("only", -9 * Day, "{}", 0), ("gone", 0, """{"text":"waits"}""", 0)));
        var unread = log.Append(1, ("gone", 0, """{"late":1}""", 0), ("kept", 0, """{"late":1}""", 0));

        var erased = await view.EraseAsync(0, "gone", default);
        var only = await view.EraseAsync(0, "only", default);
        await ApplyAsync(view, unread);
        await view.CheckpointAsync(log.Durable, default);

        Assert.Equal((7, 0), (erased.Readings, erased.Remaining));
        Assert.Equal((1, 1, 0), (only.Readings, only.Files, only.Remaining));
        Assert.Equal(["kept"], ReadAll(folder.Path, 0).Select(r => r.Device).Distinct());
        Assert.Equal(7, ReadAll(folder.Path, 0).Count);
        Assert.Equal(6, ReadAll(folder.Path, 1).Count);
        Assert.Empty(Directory.GetDirectories(folder.Path, $"date={Micros.ToDateTime(log.Readings[0].ReceivedAt - 9 * Day):yyyy-MM-dd}", SearchOption.AllDirectories));
        Assert.DoesNotContain(
            Directory.GetFiles(folder.Path, "*", SearchOption.AllDirectories), path => File.ReadAllText(path, Encoding.Latin1).Contains("waits", StringComparison.Ordinal));

        // A crash right after does not bring it back, and what the device sends from now on is kept.
        view = await OpenAsync(folder.Path, log);
        await ApplyAsync(view, log.Append(0, ("gone", 0, """{"again":1}""", 0)));
        await view.CheckpointAsync(log.Durable, default);
        Assert.Equal("""{"again":1}""", Encoding.UTF8.GetString(Assert.Single(ReadAll(folder.Path, 0), r => r.Device == "gone").Json.Span));
    }

    [Fact]
    public async Task A_crash_while_a_device_is_erased_leaves_every_other_reading_once_and_erasing_again_ends_it()
    {
        for (var steps = 0; steps < 24; steps++)
        {
            using var folder = new TestFolder();
            var log = new TestLog(2);
            var view = await HoldingThreeDaysAsync(folder.Path, log, stored: 3);
            FailAfter(steps, () => new CrashException());
            try
            {
                await view.EraseAsync(0, "gone", default);
            }
            catch (CrashException)
            {
                // Opened again below.
            }

            LocalHistoryStore.BeforeStep.Value = null;
            view = await OpenAsync(folder.Path, log);
            Assert.Equal(0, (await view.EraseAsync(0, "gone", default)).Remaining);
            Assert.Equal(["kept", "kept", "kept"], ReadAll(folder.Path, 0).Select(r => r.Device));
            Assert.Equal(3, RowsOnDisk(folder.Path));
        }
    }

    /// <summary>A view with readings of a device to erase and one to keep on three days, the first of which are on the disk already.</summary>
    private static async Task<ArchiveView> HoldingThreeDaysAsync(string folder, TestLog log, int stored)
    {
        var view = await OpenAsync(folder, log);
        for (var i = 0; i < 3; i++)
        {
            await ApplyAsync(view, log.Append(i % 2, ("gone", -i * Day, "{}", 0), ("kept", -i * Day, "{}", 0)));
            if (i < stored)
                await view.CheckpointAsync(log.Durable, default);
        }

        return view;
    }

    private static void FailAfter(int steps, Func<Exception> fault) => LocalHistoryStore.BeforeStep.Value = () =>
    {
        if (steps-- == 0)
            throw fault();
    };

    [Fact]
    public async Task A_commit_that_fails_on_another_thread_is_finished_when_the_view_goes_on()
    {
        for (var steps = 0; steps < 24; steps++)
        {
            using var folder = new TestFolder();
            var log = new TestLog(2);
            var view = await HoldingThreeDaysAsync(folder.Path, log, stored: 2);
            FailAfter(steps, () => new IOException("The disk is away for a moment."));
            await Record.ExceptionAsync(() => view.EraseAsync(0, "gone", default));
            LocalHistoryStore.BeforeStep.Value = null;

            // As the runner of views does: the view that fails is opened again and goes on from where it was.
            var next = log.Append(0, ("kept", 0, "{}", 0));
            var fault = await Record.ExceptionAsync(async () =>
            {
                await ApplyAsync(view, next);
                await view.CheckpointAsync(log.Durable, default);
            });
            if (fault is not null)
            {
                var from = await view.OpenAsync(log, default);
                foreach (var block in log.Blocks.Where(block => block.NextSequence > from[block.Partition]))
                    await ApplyAsync(view, block);
                await view.CheckpointAsync(log.Durable, default);
            }

            Assert.Equal(4, ReadAll(folder.Path, 0).Count(r => r.Device == "kept"));
            Assert.Equal(0, (await view.EraseAsync(0, "gone", default)).Remaining);
            Assert.Equal(["kept", "kept", "kept", "kept"], ReadAll(folder.Path, 0).Select(r => r.Device));
            Assert.Equal(4, RowsOnDisk(folder.Path));
        }
    }

    [Fact]
    public async Task A_merge_that_is_given_up_or_fails_leaves_nothing_of_what_it_wrote()
    {
        using var folder = new TestFolder();
        var log = new TestLog(1);
        var view = await OpenAsync(folder.Path, log);
        for (var i = 0; i < 3; i++)
        {
            await ApplyAsync(view, log.Append(0, ("gone", 0, "{}", 0), ("kept", 0, "{}", 0)));
            await view.CheckpointAsync(log.Durable, default);
        }

        await view.IdleAsync(default);
        await view.EraseAsync(0, "gone", default);
        Assert.Empty(Directory.GetFiles(folder.Path, "*.tmp", SearchOption.AllDirectories));

        var bad = Directory.GetFiles(folder.Path, "*.parquet", SearchOption.AllDirectories).Order().ElementAt(1);
        File.WriteAllBytes(bad, File.ReadAllBytes(bad)[..^20]);
        view = await OpenAsync(folder.Path, log);
        Assert.True(view.MergeOne());
        Assert.Empty(Directory.GetFiles(folder.Path, "*.tmp", SearchOption.AllDirectories));
    }

    [Fact]
    public async Task Readings_leave_by_their_age_each_tenant_by_its_own()
    {
        using var folder = new TestFolder();
        var log = new TestLog(1);
        var time = new ManualTime();
        time.Set(Micros.ToDateTime(1_772_323_200_000_000));
        var options = Options with { Retention = tenant => tenant switch { 0 => TimeSpan.FromDays(2), 1 => TimeSpan.FromDays(30), _ => null } };
        var view = new ArchiveView(new LocalHistoryStore(folder.Path, flush: false), options, NullLogger.Instance, time);
        await view.OpenAsync(log, default);
        foreach (var days in new[] { 0, 1, 3, 40 })
        {
            foreach (var tenant in new ushort[] { 0, 1, 2 })
                await ApplyAsync(view, log.Append(0, ($"{days} days", -days * Day, "{}", tenant)));
        }

        await view.CheckpointAsync(log.Durable, default);
        await view.IdleAsync(default);

        Assert.Equal(["0 days", "1 days"], ReadAll(folder.Path, 0).Select(r => r.Device).Order());
        Assert.Equal(["0 days", "1 days", "3 days"], ReadAll(folder.Path, 1).Select(r => r.Device).Order());
        Assert.Equal(4, ReadAll(folder.Path, 2).Count);
        Assert.Equal(9, RowsOnDisk(folder.Path));
    }

    private static async Task RunWithCrashesAsync(int seed)
    {
        var random = new Random(seed);
        using var folder = new TestFolder();
        var log = new TestLog(3);
        var view = await OpenAsync(folder.Path, log);
        var fed = 0;
        for (var i = 0; i < 60; i++)
        {
            log.Append(random.Next(3), [.. Enumerable.Range(0, random.Next(1, 6)).Select(_ => Random(random))]);
            var stepsLeft = random.Next(4) == 0 ? random.Next(6) : int.MaxValue;
            LocalHistoryStore.BeforeStep.Value = () =>
            {
                if (stepsLeft-- == 0)
                    throw new CrashException();
            };
            try
            {
                for (; fed < log.Blocks.Count; fed++)
                    await view.ApplyAsync(log.Blocks[fed], default);
                if (random.Next(2) == 0)
                    await view.CheckpointAsync(log.Durable, default);
                if (random.Next(3) == 0)
                    view.MergeOne();
            }
            catch (CrashException)
            {
                view = await ReopenAsync(folder.Path, log, random);
                fed = 0; // The view passes over what it has.
            }
        }

        LocalHistoryStore.BeforeStep.Value = null;
        for (; fed < log.Blocks.Count; fed++)
            await view.ApplyAsync(log.Blocks[fed], default);
        await view.CheckpointAsync(log.Durable, default);

        Assert.Equal(log.Readings.Count, view.RowCount);
        foreach (var tenant in new ushort[] { 0, 1 })
        {
            var expected = log.Readings.Where(r => r.Tenant == tenant).OrderBy(r => r.ReceivedAt).ToList();
            var actual = ReadAll(folder.Path, tenant).OrderBy(r => r.ReceivedAt).ToList();
            Assert.Equal(expected.Select(r => (r.Device, r.Time, r.ReceivedAt, r.Partition, r.Sequence)),
                actual.Select(r => (r.Device, r.Time, r.ReceivedAt, r.Partition, r.Sequence)));
            Assert.All(expected.Zip(actual), pair => Assert.True(
                JsonElement.DeepEquals(JsonDocument.Parse(pair.First.Json).RootElement, JsonDocument.Parse(pair.Second.Json).RootElement)));
        }

        // Nothing lies about that another reader would take for a file, or that is not named by a manifest.
        Assert.Equal(log.Readings.Count, RowsOnDisk(folder.Path));
        Assert.Empty(Directory.GetFiles(folder.Path, "*.tmp", SearchOption.AllDirectories));
        Assert.Empty(Directory.GetFiles(folder.Path, "*.replaced", SearchOption.AllDirectories));
    }

    private static (string, long, string, ushort) Random(Random random)
    {
        var json = random.Next(4) switch
        {
            0 => $$"""{"used":{{random.Next(1000)}}.5}""",
            1 => """{"used":"text","o":{"x":[1]}}""",
            2 => """{"on":true,"o":{"x":1,"y":2}}""",
            _ => """{"big":12345678901234567890}""",
        };
        return ($"d{random.Next(4)}", -random.NextInt64(2 * Day), json, (ushort)random.Next(2));
    }

    private static ReadingBatch RandomBatch(Random random, int partitions)
    {
        var batch = new ReadingBatch(partitions);
        for (var i = random.Next(1, 8); i > 0; i--)
        {
            var payload = random.Next(2) == 0 ? """{"a":{"c":[2],"b":1},"d":"x\n"}""" : $$"""{"n":{{i}},"rest":true}""";
            batch.Add((ushort)random.Next(2), Encoding.UTF8.GetBytes($"d{random.Next(9)}"), ListenerId.Http, PayloadFormat.Json,
                ReadingFlags.None, Micros.None, [], Encoding.UTF8.GetBytes(payload));
        }

        return batch;
    }

    private static List<(long ReceivedAt, int Partition, long Sequence, ushort Tenant, string Id, long Time, string Json)> Drain(ILogReader reader)
    {
        var places = new List<(long, int, long, ushort, string, long, string)>();
        while (reader.TryRead() is { } block)
            places.AddRange(Places(block));
        return places;
    }

    private static List<(long ReceivedAt, int Partition, long Sequence, ushort Tenant, string Id, long Time, string Json)> Places(LogBlock block)
    {
        var places = new List<(long, int, long, ushort, string, long, string)>();
        foreach (var record in block)
        {
            places.Add((record.ReceivedAt, block.Partition, record.Sequence, record.Tenant, Encoding.UTF8.GetString(record.Id), record.EventTime,
                InOrder(JsonNode.Parse(record.Payload)!)));
        }

        return places;
    }

    /// <summary>JSON as a value: members in one order, whatever theirs.</summary>
    private static string InOrder(JsonNode json) => json is JsonObject members
        ? string.Join(',', members.OrderBy(member => member.Key, StringComparer.Ordinal).Select(member => $"{member.Key}={{{InOrder(member.Value!)}}}"))
        : json.ToJsonString();

    private static async Task<ArchiveView> OpenAsync(string path, TestLog log)
    {
        var view = new ArchiveView(new LocalHistoryStore(path, flush: false), Options, NullLogger.Instance);
        await view.OpenAsync(log, default);
        return view;
    }

    /// <summary>Opens the folder again; the first tries may crash as well, in the middle of mending.</summary>
    private static async Task<ArchiveView> ReopenAsync(string path, TestLog log, Random random)
    {
        for (var stepsLeft = random.Next(4); ; stepsLeft += 1)
        {
            var left = stepsLeft;
            LocalHistoryStore.BeforeStep.Value = () =>
            {
                if (left-- == 0)
                    throw new CrashException();
            };
            try
            {
                return await OpenAsync(path, log);
            }
            catch (CrashException)
            {
                // Once more, a step further.
            }
        }
    }

    private static async Task ApplyAsync(ArchiveView view, LogBlock block) => await view.ApplyAsync(block, default);

    private static List<ArchivedReading> ReadAll(string path, ushort tenant) =>
        [.. new ArchiveReader(path, report => Assert.Fail(report)).Replay(new ReplayRange { Tenant = tenant }).Select(r => r.Keep())];

    private static long RowsOnDisk(string path)
    {
        long rows = 0;
        foreach (var file in Directory.GetFiles(path, "*.parquet", SearchOption.AllDirectories))
        {
            using var reader = Millrace.Parquet.ParquetReader.Open(file);
            rows += reader.RowCount;
        }

        return rows;
    }

    private static string Show(ArchivedReading reading) =>
        $"{reading.Device} {reading.Time} {reading.ReceivedAt} {reading.Partition}:{reading.Sequence} {Encoding.UTF8.GetString(reading.Json.Span)}";

    private sealed class CrashException : Exception;

    private sealed class TestFolder : IDisposable
    {
        public string Path { get; } = Directory.CreateTempSubdirectory("millrace-history-").FullName;

        public void Dispose() => Directory.Delete(Path, recursive: true);
    }
}
