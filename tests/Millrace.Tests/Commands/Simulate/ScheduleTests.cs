using Millrace.Commands.Simulate;

namespace Millrace.Tests.Commands.Simulate;

public class ScheduleTests
{
    private static SimulationOptions Options(double? rate = null, TimeSpan? interval = null, long? count = null) => new()
    {
        Protocol = SimulatedProtocol.Tcp,
        Host = "",
        Port = 1,
        Rate = rate,
        Interval = interval,
        Count = count,
        Seed = 5,
    };

    private static List<int> TakeAll(Schedule schedule, TimeSpan elapsed)
    {
        var devices = new int[64];
        List<int> all = [];
        while (schedule.Take(elapsed, devices) is var taken and > 0)
            all.AddRange(devices.AsSpan(0, taken));
        return all;
    }

    [Fact]
    public void A_rate_makes_as_many_readings_due_as_time_has_passed()
    {
        var schedule = Schedule.Create(Options(rate: 1000), devices: 50, index: 0, senders: 1);

        Assert.Equal(250, TakeAll(schedule, TimeSpan.FromSeconds(0.25)).Count);
        Assert.Empty(TakeAll(schedule, TimeSpan.FromSeconds(0.25)));
        Assert.Equal(750, TakeAll(schedule, TimeSpan.FromSeconds(1)).Count);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(97)]
    [InlineData(1000)]
    public void A_rate_visits_every_device_once_per_round(int devices)
    {
        var schedule = Schedule.Create(Options(rate: devices), devices, index: 0, senders: 1);

        var round = TakeAll(schedule, TimeSpan.FromSeconds(1));

        Assert.Equal(Enumerable.Range(0, devices), round.Order());
    }

    [Fact]
    public void Senders_share_devices_and_count_without_overlap()
    {
        var all = Enumerable.Range(0, 3)
            .Select(i => TakeAll(Schedule.Create(Options(rate: 0, count: 100), devices: 10, i, senders: 3), TimeSpan.Zero))
            .ToList();

        Assert.Equal(100, all.Sum(taken => taken.Count));
        Assert.Equal(10, all.SelectMany(taken => taken.Distinct()).Count());
    }

    [Fact]
    public void An_interval_sends_every_device_once_per_interval_with_jitter()
    {
        var schedule = Schedule.Create(Options(interval: TimeSpan.FromSeconds(10)), devices: 40, index: 0, senders: 1);
        var times = new Dictionary<int, List<double>>();

        for (var at = 0.0; at <= 60; at += 0.05)
        {
            foreach (var device in TakeAll(schedule, TimeSpan.FromSeconds(at)))
                (times.TryGetValue(device, out var list) ? list : times[device] = []).Add(at);
        }

        Assert.Equal(40, times.Count);
        Assert.All(times.Values, list => Assert.InRange(list.Count, 5, 6));
        var gaps = times.Values.SelectMany(list => list.Zip(list.Skip(1), (a, b) => b - a)).ToList();
        Assert.All(gaps, gap => Assert.InRange(gap, 7.9, 12.1));
        Assert.True(gaps.Max() - gaps.Min() > 1, "readings should not come at exact intervals");
    }

    [Fact]
    public void A_schedule_is_over_when_its_count_is_taken()
    {
        var schedule = Schedule.Create(Options(rate: 0, count: 3), devices: 10, index: 0, senders: 1);

        Assert.False(schedule.IsOver);
        Assert.Equal(3, TakeAll(schedule, TimeSpan.Zero).Count);
        Assert.True(schedule.IsOver);
    }
}
