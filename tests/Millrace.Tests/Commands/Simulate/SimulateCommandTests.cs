using Millrace.Commands;
using Millrace.Commands.Simulate;

namespace Millrace.Tests.Commands.Simulate;

public class SimulateCommandTests
{
    [Theory]
    [InlineData("500ms", 0.5)]
    [InlineData("30s", 30)]
    [InlineData("10m", 600)]
    [InlineData("1h", 3600)]
    [InlineData("1.5", 1.5)]
    public void Durations_are_written_with_their_unit(string text, double seconds)
    {
        Assert.True(Durations.TryParse(text, out var duration));
        Assert.Equal(seconds, duration.TotalSeconds, 3);
    }

    [Theory]
    [InlineData("")]
    [InlineData("s")]
    [InlineData("-3s")]
    [InlineData("3 days")]
    [InlineData("1e99h")]
    public void A_text_that_is_no_duration_is_refused(string text) => Assert.False(Durations.TryParse(text, out _));

    [Fact]
    public void The_target_is_a_host_and_a_port_or_the_protocols_own()
    {
        Assert.Equal(("127.0.0.1", 8090), SimulateCommand.Target(null, SimulatedProtocol.Tcp));
        Assert.Equal(("meters.example", 99), SimulateCommand.Target("meters.example:99", SimulatedProtocol.Udp));
        Assert.Equal(("::1", 99), SimulateCommand.Target("[::1]:99", SimulatedProtocol.Udp));
        Assert.Throws<UsageException>(() => SimulateCommand.Target("nowhere", SimulatedProtocol.Udp));
    }

    [Fact]
    public void All_mistakes_are_told_at_once()
    {
        var options = new SimulationOptions
        {
            Protocol = SimulatedProtocol.Udp,
            Host = "",
            Port = 1,
            Devices = 0,
            Rate = -1,
            Interval = TimeSpan.FromSeconds(1),
            Payload = PayloadKind.Xml,
            AcknowledgedFile = "x",
        };

        var mistakes = SimulateCommand.Mistakes(options, preset: null).ToList();

        Assert.Equal(5, mistakes.Count);
        Assert.Contains(mistakes, mistake => mistake.StartsWith("--devices", StringComparison.Ordinal));
        Assert.Contains(mistakes, mistake => mistake.StartsWith("--acknowledged", StringComparison.Ordinal));
    }
}
