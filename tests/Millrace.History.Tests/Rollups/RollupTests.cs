using FsCheck;
using FsCheck.Fluent;
using Millrace.Core;
using Millrace.History.Queries;
using Millrace.History.Rollups;
using Millrace.History.Rollups.Devices;

namespace Millrace.History.Tests.Rollups;

public sealed class RollupTests
{
    private const int Partitions = 4;

    private static readonly string[] Zones =
    [
        "UTC", "Europe/Prague", "America/New_York", "Asia/Shanghai", "Asia/Kolkata", "Asia/Kathmandu", "Australia/Lord_Howe",
        "Pacific/Apia", "America/St_Johns", "Africa/Casablanca", "Pacific/Chatham", "America/Sao_Paulo",
    ];

    /// <summary>Days around which clocks change in these zones, a leap day, and a day that Samoa never had.</summary>
    private static readonly string[] Days =
        ["2026-03-29", "2026-10-25", "2026-03-08", "2026-11-01", "2026-04-05", "2026-10-04", "2011-12-30", "2028-02-29", "2026-09-27", "1969-12-31"];

    [Fact]
    public void A_rollup_always_equals_recomputation_from_the_raw_readings()
    {
        var cases =
            from seed in Gen.Choose(0, int.MaxValue - 1)
            from zone in Gen.Elements(Zones)
            from day in Gen.Elements(Days)
            from interval in Gen.Elements(TrendInterval.QuarterHour, TrendInterval.Hour, TrendInterval.Day)
            select (seed, zone, day, interval);

        Prop.ForAll(cases.ToArbitrary(), c =>
        {
            var random = new Random(c.seed);
            var zone = TimeZoneInfo.FindSystemTimeZoneById(c.zone);
            var middle = Micros.FromDateTime(DateTime.Parse(c.day, null, System.Globalization.DateTimeStyles.AdjustToUniversal));
            var raw = Samples(random, middle);
            // In order of the log, which is no order of time; now and then what was held is stored and absorbed, and cells are counted anew at any moment.
            var (held, stored) = (new DeviceCells(LocalBuckets.QuarterHour), new DeviceCells(LocalBuckets.QuarterHour));
            for (var at = 0; at < raw.Count; at++)
            {
                held.Add(0, raw[at]);
                if (random.Next(10) == 0)
                    Store(ref held, stored);
                if (random.Next(10) == 0)
                    Recount(stored, raw);
            }

            Store(ref held, stored);
            Recount(stored, raw);
            var buckets = LocalBuckets.Of(zone, c.interval, middle - 3 * 86_400_000_000, middle + 3 * 86_400_000_000);

            Assert.Equal(buckets.Select(bucket => FromRaw(bucket, raw)), TrendPoints.Of(stored.Fields[0], LocalBuckets.QuarterHour, buckets));
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(400));
    }

    [Fact]
    public void Buckets_of_every_zone_follow_each_other_without_gap_and_agree_with_its_clock()
    {
        foreach (var name in Zones)
        {
            var zone = TimeZoneInfo.FindSystemTimeZoneById(name);
            foreach (var day in Days)
            {
                var middle = Micros.FromDateTime(DateTime.Parse(day));
                foreach (var interval in new[] { TrendInterval.Hour, TrendInterval.Day })
                {
                    var buckets = LocalBuckets.Of(zone, interval, middle - 2 * 86_400_000_000, middle + 2 * 86_400_000_000);
                    for (var i = 1; i < buckets.Count; i++)
                        Assert.Equal(buckets[i - 1].End, buckets[i].Start);
                    if (interval == TrendInterval.Day)
                        Assert.All(buckets, b => Assert.Single(DatesOf(zone, b)));
                }
            }
        }
    }

    [Theory]
    [InlineData("Europe/Prague", "2026-03-29", 23.0)]
    [InlineData("Europe/Prague", "2026-10-25", 25.0)]
    [InlineData("Europe/Prague", "2028-02-29", 24.0)]
    [InlineData("Australia/Lord_Howe", "2026-10-04", 23.5)]
    [InlineData("Australia/Lord_Howe", "2026-04-05", 24.5)]
    [InlineData("Asia/Kathmandu", "2026-06-01", 24.0)]
    public void A_local_day_has_the_hours_that_its_clock_says(string name, string day, double hours)
    {
        var zone = TimeZoneInfo.FindSystemTimeZoneById(name);
        var noon = Micros.FromDateTime(TimeZoneInfo.ConvertTimeToUtc(DateTime.Parse(day).AddHours(12), zone));

        var bucket = Assert.Single(LocalBuckets.Of(zone, TrendInterval.Day, noon, noon + 1));

        Assert.Equal(hours, (bucket.End - bucket.Start) / 3_600e6);
        Assert.Equal(hours switch { 23.5 or 24.5 => 25 - (hours == 23.5 ? 1 : 0), _ => (int)hours }, HoursOf(zone, bucket));
    }

    [Fact]
    public void Samoa_has_no_30th_of_december_2011()
    {
        var zone = TimeZoneInfo.FindSystemTimeZoneById("Pacific/Apia");
        var around = Micros.FromDateTime(DateTime.Parse("2011-12-30T12:00:00"));

        var days = LocalBuckets.Of(zone, TrendInterval.Day, around - 2 * 86_400_000_000, around + 2 * 86_400_000_000)
            .Select(bucket => DateOnly.FromDateTime(Micros.ToDateTime(bucket.Start) + bucket.Offset).ToString("yyyy-MM-dd")).ToList();

        Assert.Contains("2011-12-29", days);
        Assert.Contains("2011-12-31", days);
        Assert.DoesNotContain("2011-12-30", days);
    }

    [Fact]
    public void A_sum_does_not_depend_on_the_order_of_adding()
    {
        Prop.ForAll(Gen.Choose(0, int.MaxValue - 1).ToArbitrary(), seed =>
        {
            var random = new Random(seed);
            var values = Enumerable.Range(0, random.Next(1, 60))
                .Select(_ => (random.NextDouble() - 0.5) * Math.Pow(10, random.Next(-30, 40))).ToList();
            values.AddRange(values.Take(random.Next(values.Count)).Select(v => -v).ToList());

            var sums = Enumerable.Range(0, 4).Select(_ => Sum(values.OrderBy(_ => random.Next()))).ToList();
            Assert.Single(sums.Distinct());
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(300));
    }

    [Theory]
    [InlineData(new[] { 1e100, 1.0, -1e100 }, 1.0)]
    [InlineData(new[] { 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1 }, 1.0)]
    [InlineData(new[] { 1.0, 1.1102230246251565E-16, 1e-30 }, 1.0000000000000002)]
    [InlineData(new double[0], 0.0)]
    public void A_sum_is_rounded_once(double[] values, double expected) => Assert.Equal(expected, Sum(values));

    [Theory]
    [InlineData(double.NaN)]
    [InlineData(double.PositiveInfinity)]
    [InlineData(double.NegativeInfinity)]
    [InlineData(1e300)]
    [InlineData(-1e300)]
    public void What_cannot_be_summed_is_left_out(double value)
    {
        var fields = new NumericFields();
        fields.Read(System.Text.Encoding.UTF8.GetBytes($$"""{"v":{{(double.IsFinite(value) ? value.ToString("R", System.Globalization.CultureInfo.InvariantCulture) : "1e999")}},"w":5}"""));

        Assert.False(ExactSum.Accepts(value));
        Assert.Equal([5.0], fields.Values.Select(field => field.Value));
    }

    [Fact]
    public void Thinning_keeps_the_ends_and_every_peak_and_the_bound()
    {
        Prop.ForAll(Gen.Choose(0, int.MaxValue - 1).ToArbitrary(), seed =>
        {
            var random = new Random(seed);
            var values = Enumerable.Range(0, random.Next(1, 2000)).Select(_ => random.NextDouble()).ToArray();
            var most = random.Next(4, 300);
            var kept = PeakKeeping.Reduce(values, most);

            Assert.InRange(kept.Count, 1, most);
            Assert.Equal(kept.Distinct().Order(), kept);
            Assert.Equal((0, values.Length - 1), (kept[0], kept[^1]));
            Assert.Contains(Array.IndexOf(values, values.Max()), kept);
            Assert.Contains(Array.IndexOf(values, values.Min()), kept);
        }).QuickCheckThrowOnFailure();
    }

    private static List<Sample> Samples(Random random, long middle)
    {
        var next = new long[Partitions];
        var samples = new List<Sample>();
        var register = 1000.0;
        for (var i = 0; i < random.Next(1, 120); i++)
        {
            var partition = random.Next(Partitions);
            register += random.Next(5) * 0.001;
            var time = random.Next(6) == 0 && samples.Count > 0
                ? samples[random.Next(samples.Count)].Time
                : middle + random.NextInt64(-2 * 86_400_000_000, 2 * 86_400_000_000);
            samples.Add(new Sample(time, partition, next[partition]++, random.Next(8) == 0 ? random.NextDouble() * 1e6 : register));
        }

        return samples;
    }

    private static void Store(ref DeviceCells held, DeviceCells into)
    {
        foreach (var (field, cells) in held.Fields)
            into.Add(field, cells.Values);
        held = new DeviceCells(LocalBuckets.QuarterHour);
    }

    private static void Recount(DeviceCells cells, List<Sample> raw)
    {
        foreach (var (start, cell) in cells.Fields.GetValueOrDefault(0)?.Where(cell => cell.Value.NeedsRecount).ToList() ?? [])
        {
            // As many readings as it holds, the oldest in the log, are those that it was made from.
            cells.Fields[0][start] = Cell.Recount(start, raw.Where(s => s.Time >= start && s.Time < start + LocalBuckets.QuarterHour).Take((int)cell.Count));
        }
    }

    private static TrendPoint FromRaw(LocalBucket bucket, List<Sample> raw)
    {
        var ordered = raw.Order().ToList();
        var inside = ordered.Where(s => s.Time >= bucket.Start && s.Time < bucket.End).ToList();
        if (inside.Count == 0)
            return new TrendPoint(bucket, 0, 0, double.NaN, double.NaN, double.NaN, double.NaN, 0);

        var rises = new List<double>();
        foreach (var sample in inside)
        {
            var place = ordered.IndexOf(sample);
            if (place > 0 && sample.Value > ordered[place - 1].Value)
                rises.AddRange([sample.Value, -ordered[place - 1].Value]);
        }

        return new TrendPoint(
            bucket, inside.Count, Sum(inside.Select(s => s.Value)), inside.Min(s => s.Value), inside.Max(s => s.Value),
            inside[0].Value, inside[^1].Value, Sum(rises));
    }

    private static double Sum(IEnumerable<double> values)
    {
        var sum = default(ExactSum);
        foreach (var value in values)
            sum.Add(value);
        return sum.Value;
    }

    private static List<DateOnly> DatesOf(TimeZoneInfo zone, LocalBucket bucket)
    {
        var dates = new List<DateOnly>();
        for (var at = bucket.Start; at < bucket.End; at += LocalBuckets.QuarterHour)
        {
            var utc = Micros.ToDateTime(at);
            dates.Add(DateOnly.FromDateTime(utc + zone.GetUtcOffset(utc)));
        }

        return [.. dates.Distinct()];
    }

    private static int HoursOf(TimeZoneInfo zone, LocalBucket day) => LocalBuckets.Of(zone, TrendInterval.Hour, day.Start, day.End).Count;
}
