using System.Diagnostics;
using Millrace.Commands.Simulate;

namespace Millrace.Tests.Commands.Simulate;

public class LatencyHistogramTests
{
    [Fact]
    public void Quantiles_are_right_to_within_a_bucket()
    {
        var histogram = new LatencyHistogram();
        for (var micros = 1; micros <= 100_000; micros++)
            histogram.Add(0, micros * Stopwatch.Frequency / 1_000_000);

        Assert.InRange(histogram.Quantile(0.5).TotalMicroseconds, 50_000, 53_500);
        Assert.InRange(histogram.Quantile(0.99).TotalMicroseconds, 99_000, 100_000);
        Assert.Equal(100_000, histogram.Max.TotalMicroseconds);
        Assert.Equal(100_000, histogram.Count);
    }
}
