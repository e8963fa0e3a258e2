using Microsoft.Extensions.Logging.Abstractions;
using Millrace.Core;
using Millrace.Processing.DeadLetters;
using Millrace.Testing;

namespace Millrace.Processing.Tests.DeadLetters;

public sealed class DeadLetterStoreTests
{
    private static readonly DeadLetterQuery All = new(0, null, null, null, null, 100);

    [Fact]
    public async Task Letters_come_back_newest_first_with_their_bytes()
    {
        using var folder = new TempFolder();
        await using var store = Open(folder);

        store.Keep(ListenerId.Udp, RejectReason.MissingSeparator, 0, null, "no colon", [0, 255, (byte)'x']);
        store.KeepForJob("low", "cast", 0, "m1", null, "{}"u8);
        await store.DrainAsync(CancellationToken.None);

        var letters = store.List(All);
        Assert.Equal(["cast", "missing_separator"], letters.Select(l => l.Reason));
        Assert.Equal([0, 255, (byte)'x'], letters[1].Payload);
        Assert.Equal(("udp", "no colon"), (letters[1].Listener, letters[1].Detail));
        Assert.Equal("low", store.Find(letters[0].Number)!.Job);
    }

    [Fact]
    public async Task Pages_and_filters_hold_over_many_files()
    {
        using var folder = new TempFolder();
        await using var store = Open(folder, fileBytes: 500);
        for (var i = 0; i < 20; i++)
        {
            store.Keep(ListenerId.Tcp, i % 2 == 0 ? RejectReason.TooLarge : RejectReason.InvalidJson, 0, $"m{i}", null, [(byte)i]);
            await store.DrainAsync(CancellationToken.None);
        }

        var first = store.List(All with { Reason = "too_large", Limit = 4 });
        var second = store.List(All with { Reason = "too_large", Limit = 4, After = first[^1].Number });

        Assert.Equal(["m18", "m16", "m14", "m12"], first.Select(l => l.Device));
        Assert.Equal(["m10", "m8", "m6", "m4"], second.Select(l => l.Device));
        Assert.Empty(store.List(All with { Tenant = 7 }));
    }

    [Fact]
    public async Task Numbers_go_on_after_a_restart_and_a_cut_line_is_passed_over()
    {
        using var folder = new TempFolder();
        await using (var store = Open(folder))
            store.Keep(ListenerId.Udp, RejectReason.EmptyPayload, 0, null, null, []);
        File.AppendAllText(Directory.GetFiles(folder.Path).Single(), "{\"number\":2,\"at\":1,\"rea");

        await using var again = Open(folder);
        again.Keep(ListenerId.Udp, RejectReason.TooDeep, 0, null, null, []);
        await again.DrainAsync(CancellationToken.None);

        Assert.Equal([2L, 1L], again.List(All).Select(l => l.Number));
    }

    [Fact]
    public async Task The_oldest_file_goes_when_the_bound_is_reached()
    {
        using var folder = new TempFolder();
        await using var store = Open(folder, fileBytes: 1000, totalBytes: 5000);
        for (var i = 0; i < 200; i++)
        {
            store.Keep(ListenerId.Http, RejectReason.InvalidJson, 0, null, null, new byte[100]);
            await store.DrainAsync(CancellationToken.None);
        }

        Assert.InRange(Directory.GetFiles(folder.Path).Sum(f => new FileInfo(f).Length), 1000, 6000);
        Assert.Equal(200, store.List(All with { Limit = 1 })[0].Number);
    }

    [Fact]
    public async Task A_flood_is_bounded_and_what_is_not_kept_is_counted()
    {
        using var folder = new TempFolder();
        await using var store = Open(folder, fileBytes: 100_000, totalBytes: 200_000);

        for (var i = 0; i < 50_000; i++)
            store.Keep(ListenerId.Udp, RejectReason.TooLarge, 0, null, null, new byte[1000]);
        await store.DrainAsync(CancellationToken.None);

        var newest = store.List(All with { Limit = 1 })[0].Number;
        Assert.Equal(50_000, newest + store.NotKept);
    }

    [Fact]
    public async Task A_letter_taken_out_stays_out_after_a_restart()
    {
        using var folder = new TempFolder();
        await using (var store = Open(folder))
        {
            store.Keep(ListenerId.Udp, RejectReason.EmptyPayload, 0, "a", null, []);
            store.Keep(ListenerId.Udp, RejectReason.EmptyPayload, 0, "b", null, []);
            await store.DrainAsync(CancellationToken.None);
            Assert.True(await store.RemoveAsync(0, 1, CancellationToken.None));
            Assert.False(await store.RemoveAsync(0, 1, CancellationToken.None));
            Assert.False(await store.RemoveAsync(9, 2, CancellationToken.None));
        }

        await using var again = Open(folder);
        Assert.Equal(["b"], again.List(All).Select(l => l.Device));
    }

    private static DeadLetterStore Open(TempFolder folder, long fileBytes = 4 << 20, long totalBytes = 64 << 20) =>
        new(folder.Path, TimeProvider.System, NullLogger.Instance, fileBytes, totalBytes);
}
