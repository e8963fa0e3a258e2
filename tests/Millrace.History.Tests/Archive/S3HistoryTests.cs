using System.Net;
using Microsoft.Extensions.Logging.Abstractions;
using Millrace.Core;
using Millrace.History.Archive;
using Millrace.Testing;

namespace Millrace.History.Tests.Archive;

/// <summary>The history in a real S3-speaking server (tests/services/s3.sh).</summary>
public sealed class S3HistoryTests
{
    [Fact]
    public async Task On_an_s3_server_every_reading_is_once_in_what_the_manifests_list_after_merges_and_a_restart()
    {
        using var folder = new TempFolder();
        using var store = Store(ServerEndpoint(), folder["staging"]);
        var log = new TestLog(2);
        var view = await OpenAsync(store, log);
        for (var i = 0; i < 12; i++)
        {
            await view.ApplyAsync(log.Append(i % 2, ("a", 0, $$"""{"n":{{i}}}""", 0), ("b", -i * 3_600_000_000L, "{}", 1)), default);
            await view.CheckpointAsync(log.Durable, default);
        }

        while (view.MergeOne())
        {
        }

        // A file that was uploaded and never committed is nobody's, and goes.
        await File.WriteAllTextAsync(store.NewFile("tenant=0/date=2026-03-01/hour=00/r0-lost.parquet"), "lost");
        store.Stage("tenant=0/date=2026-03-01/hour=00/r0-lost.parquet");
        view = await OpenAsync(store, log);
        await view.ApplyAsync(log.Append(0, ("a", 0, "{}", 0)), default);
        await view.CheckpointAsync(log.Durable, default);

        HasAll(log, store);
        Assert.Throws<FileNotFoundException>(() => store.Open("tenant=0/date=2026-03-01/hour=00/r0-lost.parquet"));
        Assert.Equal(0, (await view.EraseAsync(0, "a", default)).Remaining);
        Assert.Empty(new ArchiveReader(store).ReadDevice(0, "a", 0, long.MaxValue));
    }

    [Fact]
    public async Task A_server_that_is_away_and_an_upload_cut_in_half_lose_nothing()
    {
        var server = ServerEndpoint();
        using var folder = new TempFolder();
        await using var proxy = new CuttingProxy(server);
        using var store = Store(new IPEndPoint(IPAddress.Loopback, proxy.Port), folder["staging"]);
        var log = new TestLog(1);
        var view = await OpenAsync(store, log);
        // Text that does not compress: more than one part of an upload.
        var random = new Random(1);
        var text = new byte[96];
        var block = log.Append(0, [.. Enumerable.Range(0, 80_000).Select(i =>
        {
            random.NextBytes(text);
            return ($"d{i % 100}", 0L, $$"""{"t":"{{Convert.ToBase64String(text)}}"}""", (ushort)0);
        })]);

        foreach (var allowed in new[] { 0L, 6 << 20 })
        {
            await view.ApplyAsync(block, default);
            proxy.Allow(allowed);
            await Assert.ThrowsAsync<IOException>(async () => await view.CheckpointAsync(log.Durable, default));
            proxy.Allow(long.MaxValue);
            view = await OpenAsync(store, log);
        }

        await view.ApplyAsync(block, default);
        await view.CheckpointAsync(log.Durable, default);
        HasAll(log, store);
    }

    private static IPEndPoint ServerEndpoint()
    {
        var address = Environment.GetEnvironmentVariable("MILLRACE_TEST_S3");
        Assert.SkipWhen(string.IsNullOrEmpty(address), "MILLRACE_TEST_S3 names no S3 server (tests/services/s3.sh): the history on S3 was not tried");
        Assert.SkipWhen(Environment.GetEnvironmentVariable("S3_FLAVOUR") == "s3rver", "s3rver does not list and read as S3 does: the history on S3 was not tried; Python's moto does");
        return new IPEndPoint(IPAddress.Loopback, new Uri(address!).Port);
    }

    private static S3HistoryStore Store(IPEndPoint server, string staging) => new(
        new S3HistoryOptions
        {
            Endpoint = $"http://{server}",
            Bucket = Environment.GetEnvironmentVariable("S3_BUCKET") ?? "millrace",
            Prefix = $"history-{Guid.NewGuid():N}/",
            AccessKey = Environment.GetEnvironmentVariable("AWS_ACCESS_KEY_ID") ?? "millrace",
            SecretKey = Environment.GetEnvironmentVariable("AWS_SECRET_ACCESS_KEY") ?? "millrace",
            PartBytes = 5 << 20,
        },
        staging);

    private static async Task<ArchiveView> OpenAsync(IHistoryStore store, TestLog log)
    {
        var view = new ArchiveView(store, new ArchiveOptions { MergeFiles = 3 }, NullLogger.Instance);
        await view.OpenAsync(log, default);
        return view;
    }

    private static void HasAll(TestLog log, IHistoryStore store) => Assert.Equal(
        log.Readings.Select(r => (r.Tenant, r.Device, r.Partition, r.Sequence)),
        new ArchiveReader(store, Assert.Fail).Replay(new ReplayRange()).Select(r => r.Keep()).Select(r => (r.Tenant, r.Device, r.Partition, r.Sequence)));
}
