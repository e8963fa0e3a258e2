using Microsoft.Extensions.Logging.Abstractions;
using Millrace.Core;
using Millrace.Processing.Enrolling;
using Millrace.Processing.Latest;
using Millrace.Registry;
using Millrace.Testing;

namespace Millrace.Processing.Tests.Enrolling;

public sealed class EnrolmentViewTests : IDisposable
{
    private const long T0 = 1_700_000_000_000_000;

    private static readonly CancellationToken None = CancellationToken.None;
    private static readonly DeviceChange Nothing = new(null, null, null, null);

    private readonly TempFolder _folder = new();
    private readonly MemoryLog _log = new(1);
    private readonly SqliteDatabase _database;
    private readonly SqliteRegistry _registry;

    public EnrolmentViewTests()
    {
        _database = SqliteDatabase.Open(_folder["registry.db"]);
        _registry = new SqliteRegistry(_database, new ManualTime());
    }

    public void Dispose()
    {
        _database.Dispose();
        _folder.Dispose();
    }

    [Fact]
    public async Task The_first_reading_enrols_a_device_together_with_the_position()
    {
        using var table = Table();
        var view = await OpenAsync(table);

        await view.ApplyAsync(Blocks.Of(0, 0, T0, ("a", Micros.None, "1"), ("b", Micros.None, "1"), ("a", Micros.None, "2")), None);
        Assert.Null(_registry.Find(0, "a"));
        await view.IdleAsync(None);

        Assert.Equal(T0, _registry.Find(0, "a")!.CreatedAt);
        Assert.Equal(2, _registry.Count(0));
        Assert.Equal(new PositionVector([3L]), _registry.EnrolmentPosition);
    }

    [Fact]
    public async Task A_block_seen_again_after_a_crash_changes_nothing()
    {
        using var table = Table();
        var view = await OpenAsync(table);
        var block = Blocks.Of(0, 0, T0, ("a", Micros.None, "1"));
        await view.ApplyAsync(block, None);
        await view.CheckpointAsync(new PositionVector([1L]), None);

        using var restarted = Table();
        var again = new EnrolmentView(restarted, _registry, NullLogger<EnrolmentView>.Instance);
        Assert.Equal(new PositionVector([1L]), await again.OpenAsync(_log, None));
        await again.ApplyAsync(block, None);
        await again.IdleAsync(None);

        Assert.Equal(1, _registry.Count(0));
    }

    [Fact]
    public async Task The_position_moves_on_when_nobody_is_new()
    {
        _registry.Add(0, "a", Nothing);
        using var table = Table();
        var view = await OpenAsync(table);

        await view.ApplyAsync(Blocks.Of(0, 0, T0, ("a", Micros.None, "1")), None);
        await view.CheckpointAsync(new PositionVector([1L]), None);

        Assert.Equal(new PositionVector([1L]), _registry.EnrolmentPosition);
    }

    [Fact]
    public async Task A_removed_device_is_not_enrolled_by_readings_that_were_on_their_way()
    {
        _registry.Add(0, "a", Nothing);
        using var table = Table();
        var view = await OpenAsync(table);
        _registry.Remove(0, "a");

        await view.ApplyAsync(Blocks.Of(0, 0, T0, ("a", Micros.None, "1")), None);
        await view.IdleAsync(None);

        Assert.Null(_registry.Find(0, "a"));
    }

    [Fact]
    public async Task The_registry_never_grows_past_the_limit_whatever_is_in_the_log()
    {
        using var table = Table(max: 10);
        var view = await OpenAsync(table);
        for (var i = 0; i < 20; i++)
        {
            await view.ApplyAsync(Blocks.Of(0, i * 5, T0 + i * 5, [.. Enumerable.Range(0, 5).Select(n => ($"junk-{i}-{n}", Micros.None, "1"))]), None);
            if (i % 3 == 0)
                await view.IdleAsync(None);
        }

        await view.CheckpointAsync(new PositionVector([100L]), None);

        Assert.Equal((10, 90), (_registry.Count(0), view.LeftOut));
        Assert.Equal(new PositionVector([100L]), _registry.EnrolmentPosition);
    }

    private DeviceTable Table(long max = 1000)
    {
        var table = new DeviceTable(1, max);
        table.Follow(_registry);
        return table;
    }

    private async Task<EnrolmentView> OpenAsync(DeviceTable table)
    {
        var view = new EnrolmentView(table, _registry, NullLogger<EnrolmentView>.Instance);
        await view.OpenAsync(_log, None);
        return view;
    }
}
