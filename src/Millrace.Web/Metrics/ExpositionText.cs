using System.Globalization;
using System.Text;

namespace Millrace.Web.Metrics;

/// <summary>Builds the text format that Prometheus reads (version 0.0.4).</summary>
internal sealed class ExpositionText
{
    public const string ContentType = "text/plain; version=0.0.4; charset=utf-8";

    private readonly StringBuilder _text = new(16 << 10);

    public void Begin(string name, string type, string help)
    {
        _text.Append("# HELP ").Append(name).Append(' ').Append(help.Replace("\\", "\\\\").Replace("\n", "\\n")).Append('\n');
        _text.Append("# TYPE ").Append(name).Append(' ').Append(type).Append('\n');
    }

    /// <param name="labels">As name="value",…; values escaped; empty for none.</param>
    public void Sample(string name, string labels, double value)
    {
        _text.Append(name);
        if (labels.Length > 0)
            _text.Append('{').Append(labels).Append('}');
        _text.Append(' ').Append(value.ToString("R", CultureInfo.InvariantCulture)).Append('\n');
    }

    public void Sample(string name, string labels, long value)
    {
        _text.Append(name);
        if (labels.Length > 0)
            _text.Append('{').Append(labels).Append('}');
        _text.Append(' ').Append(value).Append('\n');
    }

    public void Histogram(string name, string labels, MeterSink.Series series, double[] bounds)
    {
        var prefix = labels.Length > 0 ? labels + "," : "";
        long total = 0;
        for (var i = 0; i < bounds.Length; i++)
        {
            total += series.Buckets[i];
            Sample($"{name}_bucket", $"{prefix}le=\"{bounds[i].ToString("R", CultureInfo.InvariantCulture)}\"", total);
        }

        total += series.Buckets[bounds.Length];
        Sample($"{name}_bucket", $"{prefix}le=\"+Inf\"", total);
        Sample($"{name}_sum", labels, series.Sum);
        Sample($"{name}_count", labels, total);
    }

    public static string Escape(string value) => value.Replace("\\", "\\\\").Replace("\"", "\\\"").Replace("\n", "\\n");

    public override string ToString() => _text.ToString();
}
