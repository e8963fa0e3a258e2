using System.Diagnostics.Metrics;
using System.Globalization;
using System.Text;

namespace Millrace.Web.Metrics;

/// <summary>
/// Adds up what the program's own meter measures, so that /metrics can show it. Names are taken as they are, dots as
/// underscores. Thread-safe; recording takes one short lock per instrument.
/// </summary>
internal sealed class MeterSink : IDisposable
{
    private const string MeterName = "Millrace";

    /// <summary>A label set too many would grow for ever; what is past this is added to the last one.</summary>
    private const int SeriesMax = 2000;

    private readonly MeterListener _listener = new();
    private readonly Lock _gate = new();
    private readonly List<Instruments> _instruments = [];

    public MeterSink()
    {
        _listener.InstrumentPublished = Begin;
        _listener.SetMeasurementEventCallback<long>((_, value, tags, state) => ((Instruments)state!).Record(value, tags));
        _listener.SetMeasurementEventCallback<int>((_, value, tags, state) => ((Instruments)state!).Record(value, tags));
        _listener.SetMeasurementEventCallback<double>((_, value, tags, state) => ((Instruments)state!).Record(value, tags));
        _listener.Start();
    }

    /// <summary>Writes every instrument that <paramref name="skip"/> does not claim.</summary>
    public void Write(ExpositionText text, Func<string, bool> skip)
    {
        List<Instruments> instruments;
        lock (_gate)
            instruments = [.. _instruments];
        foreach (var instrument in instruments.Where(i => i.IsObserved))
            instrument.Forget();
        _listener.RecordObservableInstruments();
        foreach (var instrument in instruments.Where(i => !skip(i.Name)))
            instrument.Write(text);
    }

    public void Dispose() => _listener.Dispose();

    private void Begin(Instrument instrument, MeterListener listener)
    {
        if (instrument.Meter.Name != MeterName)
            return;
        Instruments state;
        lock (_gate)
        {
            // Two meters of one process may bring the same name; it is one metric.
            var name = instrument.Name.Replace('.', '_');
            state = _instruments.FirstOrDefault(i => i.Name == name) ?? new Instruments(name, instrument);
            if (!_instruments.Contains(state))
                _instruments.Add(state);
        }

        listener.EnableMeasurementEvents(instrument, state);
    }

    private sealed class Instruments
    {
        private static readonly double[] DefaultBounds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

        private readonly Lock _gate = new();
        private readonly Dictionary<string, Series> _series = new(StringComparer.Ordinal);
        private readonly string _help;
        private readonly bool _isHistogram;
        private readonly bool _isSum;
        private readonly double[] _bounds;

        public Instruments(string name, Instrument instrument)
        {
            Name = name;
            _help = instrument.Description ?? "";
            IsObserved = instrument.IsObservable;
            var kind = instrument.GetType().Name;
            _isHistogram = kind.StartsWith("Histogram", StringComparison.Ordinal);
            _isSum = kind.Contains("Counter", StringComparison.Ordinal);
            _bounds = instrument switch
            {
                Histogram<double> { Advice.HistogramBucketBoundaries: { } given } => [.. given],
                _ => DefaultBounds,
            };
        }

        public string Name { get; }

        public bool IsObserved { get; }

        public void Record(double value, ReadOnlySpan<KeyValuePair<string, object?>> tags)
        {
            lock (_gate)
            {
                var series = Find(tags);
                if (_isHistogram)
                    series.Add(value, _bounds);
                else if (_isSum && !IsObserved)
                    series.Value += value;
                else
                    series.Value = value;
            }
        }

        /// <summary>Observed values are asked for anew each time; what is gone is not shown.</summary>
        public void Forget()
        {
            lock (_gate)
                _series.Clear();
        }

        public void Write(ExpositionText text)
        {
            lock (_gate)
            {
                if (_series.Count == 0 && !_isHistogram)
                    return;
                text.Begin(Name, _isHistogram ? "histogram" : _isSum ? "counter" : "gauge", _help);
                if (_isHistogram && _series.Count == 0)
                    text.Histogram(Name, "", new Series(_bounds.Length), _bounds);
                foreach (var (labels, series) in _series)
                {
                    if (_isHistogram)
                        text.Histogram(Name, labels, series, _bounds);
                    else
                        text.Sample(Name, labels, series.Value);
                }
            }
        }

        private Series Find(ReadOnlySpan<KeyValuePair<string, object?>> tags)
        {
            var labels = tags.Length == 0 ? "" : LabelsOf(tags);
            if (_series.TryGetValue(labels, out var series))
                return series;
            if (_series.Count >= SeriesMax)
                return _series.Values.Last();
            return _series[labels] = new Series(_bounds.Length);
        }

        private static string LabelsOf(ReadOnlySpan<KeyValuePair<string, object?>> tags)
        {
            var labels = new StringBuilder();
            foreach (var (name, value) in tags)
            {
                if (labels.Length > 0)
                    labels.Append(',');
                labels.Append(name.Replace('.', '_')).Append("=\"")
                    .Append(ExpositionText.Escape(Convert.ToString(value, CultureInfo.InvariantCulture) ?? "")).Append('"');
            }

            return labels.ToString();
        }
    }

    /// <summary>One label set's value, or its buckets.</summary>
    internal sealed class Series(int bounds)
    {
        public long[] Buckets { get; } = new long[bounds + 1];

        public double Sum { get; private set; }

        public double Value { get; set; }

        public void Add(double value, double[] upTo)
        {
            var index = Array.BinarySearch(upTo, value);
            Buckets[index < 0 ? ~index : index]++;
            Sum += value;
        }
    }
}
