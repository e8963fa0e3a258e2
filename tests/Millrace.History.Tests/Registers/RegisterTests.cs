using FsCheck;
using FsCheck.Fluent;
using Millrace.History.Registers;

namespace Millrace.History.Tests.Registers;

public sealed class RegisterTests
{
    private const long Hour = 3_600_000_000;

    /// <summary>Five dials of cubic metres, six at most in an hour.</summary>
    private static readonly RegisterDefinition Dials = new() { Field = "used", Digits = 5, MaxPerHour = 6m };

    [Fact]
    public void Use_is_the_difference() =>
        Assert.Equal([new RegisterStep(0, Hour, 5, RegisterEvent.Advance, Quality.Measured)], Walk(Dials, 100, 105));

    [Fact]
    public void A_drop_within_the_maximum_flow_is_a_rollover() =>
        Assert.Equal([new RegisterStep(0, Hour, 5, RegisterEvent.Rollover, Quality.Measured)], Walk(Dials, 99_998, 3));

    [Fact]
    public void A_drop_beyond_the_maximum_flow_is_a_reset_and_its_use_unknown() =>
        Assert.Equal([new RegisterStep(0, Hour, 0, RegisterEvent.Reset, Quality.Questionable)], Walk(Dials, 50_000, 3));

    [Fact]
    public void The_longer_the_time_the_more_a_rollover_may_imply()
    {
        RegisterReading[] readings = [new(0, 99_000), new(1000 * Hour, 500)];

        Assert.Equal(RegisterEvent.Rollover, RegisterWalk.Walk(Dials, readings)[0].Event);
        Assert.Equal(RegisterEvent.Reset, RegisterWalk.Walk(Dials, [readings[0], readings[1] with { Time = 100 * Hour }])[0].Event);
    }

    [Theory]
    [InlineData(95_000, 4_000, RegisterEvent.Rollover)]
    [InlineData(80_000, 4_000, RegisterEvent.Reset)]
    [InlineData(95_000, 20_000, RegisterEvent.Reset)]
    public void Without_a_maximum_flow_only_the_ends_of_the_range_make_a_rollover(int from, int to, RegisterEvent expected) =>
        Assert.Equal(expected, Walk(Dials with { MaxPerHour = null }, from, to)[0].Event);

    [Fact]
    public void A_binary_counter_wraps_where_it_says()
    {
        var counter = new RegisterDefinition { Field = "used", WrapAt = 4_294_967.296m, Resolution = 0.001m, MaxPerHour = 10m };

        Assert.Equal(0.296m + 0.5m, Walk(counter, 4_294_967m, 0.5m)[0].Use);
    }

    [Fact]
    public void One_reading_far_off_is_left_out()
    {
        Assert.Equal([2m, 2m], Walk(Dials, 100, 102, 70_000, 104).Select(step => step.Use));
        Assert.Equal([2m, 2m], Walk(Dials, 100, 102, 0, 104).Select(step => step.Use));
    }

    [Fact]
    public void A_jump_that_the_next_reading_confirms_is_believed()
    {
        var steps = Walk(Dials, 100, 70_000, 70_002);

        Assert.Equal([RegisterEvent.Jump, RegisterEvent.Advance], steps.Select(step => step.Event));
        Assert.Equal(2m, steps.Sum(step => step.Use));
    }

    [Fact]
    public void An_exchange_joins_the_old_meters_end_and_the_new_ones_beginning()
    {
        var steps = RegisterWalk.Walk(Dials, [new(0, 500), new(2 * Hour, 12)], [new MeterExchange(Hour, FinalOld: 504, FirstNew: 10)]);

        Assert.Equal([new RegisterStep(0, 2 * Hour, 6, RegisterEvent.Exchange, Quality.Measured)], steps);
    }

    [Fact]
    public void An_exchange_without_a_final_value_is_questionable()
    {
        var step = RegisterWalk.Walk(Dials, [new(0, 500), new(2 * Hour, 12)], [new MeterExchange(Hour, null, 10)])[0];

        Assert.Equal((2m, Quality.Questionable), (step.Use, step.Quality));
    }

    [Fact]
    public void An_estimate_never_replaces_a_measurement_and_marks_what_it_touches()
    {
        var steps = RegisterWalk.Walk(
            Dials, [new(0, 100), new(Hour, 103, Quality.Estimated), new(Hour, 102), new(2 * Hour, 105, Quality.Estimated)]);

        Assert.Equal([(2m, Quality.Measured), (3m, Quality.Estimated)], steps.Select(step => (step.Use, step.Quality)));
    }

    [Fact]
    public void Neither_order_of_arrival_nor_duplicates_change_the_use()
    {
        Prop.ForAll(Gen.Choose(0, int.MaxValue - 1).ToArbitrary(), seed =>
        {
            var random = new Random(seed);
            var readings = Enumerable.Range(0, random.Next(2, 30))
                .Select(_ => new RegisterReading(random.Next(20) * Hour, random.Next(200), (Quality)random.Next(5))).ToList();
            var shuffled = readings.Concat(readings.Take(5)).OrderBy(_ => random.Next()).ToList();

            Assert.Equal(RegisterWalk.Walk(Dials, readings), RegisterWalk.Walk(Dials, shuffled));
        }).QuickCheckThrowOnFailure();
    }

    [Fact]
    public void A_meter_that_only_turns_gives_back_what_really_passed()
    {
        Prop.ForAll(Gen.Choose(0, int.MaxValue - 1).ToArbitrary(), seed =>
        {
            var random = new Random(seed);
            decimal passed = random.Next(99_000, 99_999), start = passed;
            var readings = new List<RegisterReading>();
            for (var i = 0; i < 50; i++)
            {
                readings.Add(new RegisterReading(i * Hour, passed % 100_000));
                passed += random.Next(0, 7);
            }

            var last = passed - start;
            var steps = RegisterWalk.Walk(Dials, [.. readings, new(50 * Hour, passed % 100_000)]);
            Assert.Equal(last, steps.Sum(step => step.Use));
            Assert.All(steps, step => Assert.Equal(Quality.Measured, step.Quality));
        }).QuickCheckThrowOnFailure();
    }

    [Fact]
    public void Intervals_add_up_to_the_register_difference_exactly()
    {
        Prop.ForAll(Gen.Choose(0, int.MaxValue - 1).ToArbitrary(), seed =>
        {
            var random = new Random(seed);
            var meter = new RegisterDefinition { Field = "used", Resolution = 0.001m };
            var (time, value) = (random.NextInt64(-Hour, Hour), 0m);
            var readings = new List<RegisterReading>();
            for (var i = 0; i < random.Next(2, 40); i++)
            {
                readings.Add(new RegisterReading(time, value));
                time += random.NextInt64(1, 3 * Hour);
                value += random.Next(5000) * 0.001m;
            }

            var intervals = IntervalUse.Of(RegisterWalk.Walk(meter, readings), meter.Resolution);
            Assert.Equal(readings[^1].Value - readings[0].Value, intervals.Sum(interval => interval.Use));
            Assert.All(intervals, interval => Assert.Equal(0, interval.Start % IntervalUse.QuarterHour));
            Assert.All(intervals, interval => Assert.Equal(interval.Use, decimal.Round(interval.Use, 3)));
        }).QuickCheckThrowOnFailure();
    }

    [Fact]
    public void A_gap_is_spread_and_marked_estimated()
    {
        RegisterReading[] readings = [new(0, 0), new(IntervalUse.QuarterHour, 4), new(5 * IntervalUse.QuarterHour, 12)];

        var intervals = IntervalUse.Of(RegisterWalk.Walk(Dials with { MaxPerHour = 100 }, readings), 1m);

        Assert.Equal([4m, 2m, 2m, 2m, 2m], intervals.Select(interval => interval.Use));
        Assert.Equal([Quality.Measured, .. Enumerable.Repeat(Quality.Estimated, 4)], intervals.Select(interval => interval.Quality));
    }

    [Fact]
    public void A_balance_that_does_not_hold_is_seen_and_a_missing_field_says_nothing()
    {
        var rule = new BalanceRule("bought", ["left", "used"]);
        var packet = new Dictionary<string, decimal?> { ["bought"] = 1_000_000, ["left"] = 979_171, ["used"] = 20_829 };

        Assert.False(rule.IsBroken(packet.GetValueOrDefault));
        packet["used"] = 20_830;
        Assert.True(rule.IsBroken(packet.GetValueOrDefault));
        Assert.Equal(-1, rule.Difference(packet.GetValueOrDefault));
        packet["left"] = null;
        Assert.False(rule.IsBroken(packet.GetValueOrDefault));
    }

    [Fact]
    public void All_mistakes_of_a_definition_are_told_at_once()
    {
        var wrong = new RegisterDefinition { Field = "", Digits = 40, Resolution = 0, MaxPerHour = -1 };

        Assert.Equal(4, wrong.Validate().Count());
        Assert.Empty(Dials.Validate());
    }

    private static List<RegisterStep> Walk(RegisterDefinition register, params decimal[] values) =>
        RegisterWalk.Walk(register, values.Select((value, i) => new RegisterReading(i * Hour, value)));
}
