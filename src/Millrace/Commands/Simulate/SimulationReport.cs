using System.Globalization;
using System.Text;

namespace Millrace.Commands.Simulate;

/// <summary>What a person sees of a running and of a finished simulation.</summary>
internal static class SimulationReport
{
    /// <summary>One line about the moment.</summary>
    public static string Progress(Simulation simulation, SimulationOptions options, TimeSpan elapsed, double perSecond)
    {
        var tally = simulation.Tally;
        var line = new StringBuilder();
        line.Append(Invariant($"{elapsed:hh\\:mm\\:ss}  {perSecond,9:N0}/s  sent {tally.Sent:N0}"));
        if (Answers(options))
        {
            line.Append(Invariant($"  acknowledged {tally.Acknowledged:N0}  rejected {tally.Rejected:N0}"));
            if (tally.Latency.Count > 0)
                line.Append(Invariant($"  p50 {Ms(tally.Latency.Quantile(0.5))}  p99 {Ms(tally.Latency.Quantile(0.99))}"));
        }

        if (tally.Reconnects > 0)
            line.Append(Invariant($"  reconnects {tally.Reconnects:N0}"));
        if (tally.SendErrors > 0)
            line.Append(Invariant($"  refused by the network {tally.SendErrors:N0}"));
        return line.ToString();
    }

    /// <summary>What was sent and what was acknowledged, one fact per line.</summary>
    public static string Summary(Simulation simulation, SimulationOptions options, TimeSpan elapsed)
    {
        var tally = simulation.Tally;
        var text = new StringBuilder();
        text.AppendLine(Invariant(
            $"sent {tally.Sent} readings ({tally.Bytes} bytes) of {simulation.Devices} devices in {elapsed.TotalSeconds:0.000} s: {tally.Sent / elapsed.TotalSeconds:0}/s"));
        if (Answers(options))
        {
            text.AppendLine(Invariant(
                $"acknowledged {tally.Acknowledged}, rejected {tally.Rejected}, unanswered {simulation.Unanswered}, sent again {tally.SentAgain}, reconnects {tally.Reconnects}"));
            foreach (var (reason, readings) in tally.Refusals)
                text.AppendLine(Invariant($"rejected {reason}: {readings}"));
            if (tally.Latency.Count > 0)
                text.AppendLine(Invariant(
                    $"latency p50 {Ms(tally.Latency.Quantile(0.5))}, p99 {Ms(tally.Latency.Quantile(0.99))}, max {Ms(tally.Latency.Max)}"));
        }
        else
        {
            text.AppendLine(options.Protocol == SimulatedProtocol.Udp
                ? "acknowledged: UDP answers nothing; the server's /metrics say what it stored"
                : "acknowledged: answers were not asked for");
        }

        if (tally.SendErrors > 0)
            text.AppendLine(Invariant($"refused by the network {tally.SendErrors}: nothing listens on {options.Host}:{options.Port}"));
        return text.ToString();
    }

    /// <summary>Whether everything that was sent has a good answer, as far as the protocol answers.</summary>
    public static bool IsGood(Simulation simulation) =>
        simulation.Unanswered == 0 && simulation.Tally.Rejected == 0 && simulation.Tally.SendErrors == 0;

    private static bool Answers(SimulationOptions options) => options.Protocol switch
    {
        SimulatedProtocol.Udp => false,
        SimulatedProtocol.Tcp => options.Acknowledge,
        _ => true,
    };

    private static string Ms(TimeSpan time) => time.TotalMilliseconds.ToString("0.00 ms", CultureInfo.InvariantCulture);

    private static string Invariant(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
