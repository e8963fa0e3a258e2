using System.Text.Json;
using Millrace.History.Rollups;

namespace Millrace.Web.Api;

/// <summary>Points as the API shows them.</summary>
internal static class TrendText
{
    /// <summary>What can be shown of every bucket; rise is the sum of upward differences.</summary>
    public static readonly string[] Aggregates = ["count", "min", "max", "avg", "first", "last", "sum", "rise"];

    /// <summary>Of a group there is no rise: readings of different devices are no neighbours.</summary>
    public static readonly string[] GroupAggregates = Aggregates[..^1];

    public static double Of(in TrendPoint point, string aggregate) => aggregate switch
    {
        "count" => point.Count,
        "min" => point.Min,
        "max" => point.Max,
        "avg" => point.Average,
        "first" => point.First,
        "last" => point.Last,
        "sum" => point.Sum,
        _ => point.Rise,
    };

    /// <summary>One value by its name, or an object with each aggregate when several are asked for.</summary>
    public static void WriteValue(Utf8JsonWriter json, string name, in TrendPoint point, IReadOnlyList<string> aggregates)
    {
        if (aggregates.Count == 1)
        {
            json.WriteNumber(name, Of(point, aggregates[0]));
            return;
        }

        json.WriteStartObject(name);
        WriteEach(json, point, aggregates);
        json.WriteEndObject();
    }

    public static void WriteEach(Utf8JsonWriter json, in TrendPoint point, IReadOnlyList<string> aggregates)
    {
        foreach (var aggregate in aggregates.Where(aggregate => aggregate != "count"))
            json.WriteNumber(aggregate, Of(point, aggregate));
    }

    /// <summary>The places of the points to show: all with readings, or as many as the chart can draw without losing a peak.</summary>
    public static SortedSet<int> Chosen(IEnumerable<IReadOnlyList<TrendPoint>> series, IReadOnlyList<string> aggregates, int? most)
    {
        var curves = series.ToList();
        var chosen = new SortedSet<int>();
        foreach (var points in curves)
        {
            var filled = Enumerable.Range(0, points.Count).Where(i => points[i].Count > 0).ToList();
            if (most is null || filled.Count <= most)
            {
                chosen.UnionWith(filled);
                continue;
            }

            var share = Math.Max(4, most.Value / (curves.Count * aggregates.Count));
            foreach (var aggregate in aggregates)
                chosen.UnionWith(PeakKeeping.Reduce([.. filled.Select(i => Of(points[i], aggregate))], share).Select(i => filled[i]));
        }

        return chosen;
    }
}
