using System.Diagnostics.Metrics;
using Millrace.Core;

namespace Millrace.Log;

/// <summary>The log's instruments on the meter "Millrace".</summary>
internal sealed class LogMetrics : IDisposable
{
    public const string MeterName = "Millrace";

    // From a fast disk's flush to a disk that stalls for seconds.
    private static readonly double[] SecondsBounds = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

    private readonly Meter _meter = new(MeterName);
    private readonly Histogram<double> _appendSeconds;
    private readonly Counter<long> _bytes;

    public LogMetrics(IReadingLog log)
    {
        _appendSeconds = _meter.CreateHistogram(
            "millrace_log_append_seconds", "s", "From the first reading of a group until the group is durable.",
            advice: new InstrumentAdvice<double> { HistogramBucketBoundaries = SecondsBounds });
        _bytes = _meter.CreateCounter<long>("millrace_log_written_bytes_total", "By", "Bytes made durable, headers included.");
        _meter.CreateObservableGauge("millrace_log_durable_sequence", () => Durable(log), "{reading}", "The next sequence per partition.");
        _meter.CreateObservableGauge("millrace_log_state", () => (int)log.State, null, "0 accepting, 1 disk full, 2 failed.");
    }

    public void Appended(TimeSpan elapsed, int bytes)
    {
        try
        {
            _appendSeconds.Record(elapsed.TotalSeconds);
            _bytes.Add(bytes);
        }
        catch (Exception)
        {
            // Whoever listens to the meter runs on this thread. Its faults are not the log's: the group is durable.
        }
    }

    public void Dispose() => _meter.Dispose();

    private static IEnumerable<Measurement<long>> Durable(IReadingLog log)
    {
        var durable = log.Durable;
        return [.. Enumerable.Range(0, durable.Count).Select(p => new Measurement<long>(durable[p], new KeyValuePair<string, object?>("partition", p)))];
    }
}
