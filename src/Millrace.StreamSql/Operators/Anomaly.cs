using Millrace.StreamSql.Expressions;
using Millrace.StreamSql.Json;
using Millrace.StreamSql.State;
using Millrace.StreamSql.Values;

namespace Millrace.StreamSql.Operators;

internal enum AnomalyMode
{
    Both,
    Spikes,
    Dips,
    ChangePoint,
}

/// <summary>AnomalyDetection_SpikeAndDip and AnomalyDetection_ChangePoint.</summary>
internal sealed class AnomalyPlan : AnalyticPlan
{
    public required Node Argument { get; init; }

    public required double Confidence { get; init; }

    public required int HistorySize { get; init; }

    public required AnomalyMode Mode { get; init; }

    public override Analytic Create(int partitions) => new Anomaly(this, partitions);
}

/// <summary>
/// Spikes and dips: distance of a value from the median of its history in robust standard deviations (1.4826 times the median
/// absolute deviation, at least a thousandth of the median; where most values are the same, the root mean square of the distances
/// or a fiftieth of the median). Change points: the later half of the history against the
/// earlier one. Score is that distance; the limit grows with the confidence (95: 4.5).
/// </summary>
internal sealed class Anomaly(AnomalyPlan plan, int partitions) : Analytic(plan, partitions)
{
    /// <summary>Below this many values nothing is called an anomaly.</summary>
    private const int Warmup = 8;

    private sealed class History
    {
        public readonly Queue<(long Time, double Value)> Rows = new();
    }

    private sealed class PartitionState
    {
        public readonly KeyMap Keys = new();
        public readonly List<History> Histories = [];
    }

    private readonly PartitionState[] shards = [.. Enumerable.Range(0, partitions).Select(_ => new PartitionState())];
    private readonly double limit = 3 + (3 * Math.Clamp((plan.Confidence - 90) / 10, 0, 1));
    private double pending;
    private bool hasPending;

    public override long HeldBytes => shards.Sum(s => s.Keys.HeldBytes + s.Histories.Sum(h => 80 + (h.Rows.Count * 16L)));

    protected override void Compute(Frame frame, out Value result)
    {
        hasPending = false;
        result = Value.Null;
        if (Applies != Truth.True)
            return;
        plan.Argument.Evaluate(frame, out var value);
        if (value.IsNull || frame.Error is not null)
            return;
        pending = value.Kind == Kind.Bigint ? value.Bits : value.Double;
        hasPending = true;
        var shard = shards[Shard];
        var entry = shard.Keys.Find(Key, Hash);
        var score = 0.0;
        if (entry >= 0)
        {
            var rows = shard.Histories[entry].Rows;
            while (rows.TryPeek(out var old) && old.Time <= frame.Time - plan.Limit)
                rows.Dequeue();
            score = plan.Mode == AnomalyMode.ChangePoint ? Shift(rows) : Distance(rows);
        }

        var isAnomaly = plan.Mode switch
        {
            AnomalyMode.Spikes => score > limit,
            AnomalyMode.Dips => score < -limit,
            _ => Math.Abs(score) > limit,
        };
        var target = new JsonBuffer();
        target.Add("{\"Score\":"u8);
        target.Add(Math.Abs(score));
        target.Add(isAnomaly ? ",\"IsAnomaly\":1}"u8 : ",\"IsAnomaly\":0}"u8);
        result = Value.OfBytes(Kind.Record, target.ToArray());
    }

    private double Distance(Queue<(long Time, double Value)> rows)
    {
        if (rows.Count < Math.Min(Warmup, plan.HistorySize))
            return 0;
        return Robust([.. rows.Select(r => r.Value)], pending);
    }

    /// <summary>The last values, the current one included, against those before them.</summary>
    private double Shift(Queue<(long Time, double Value)> rows)
    {
        var values = rows.Select(r => r.Value).Append(pending).ToArray();
        var recent = Math.Max(3, values.Length / 4);
        if (values.Length - recent < Warmup)
            return 0;
        return Robust(values[..^recent], Median([.. values[^recent..]]));
    }

    private static double Robust(double[] history, double value)
    {
        var median = Median([.. history]);
        double[] distances = [.. history.Select(v => Math.Abs(v - median))];
        var square = distances.Average(d => d * d);
        var deviation = 1.4826 * Median(distances);
        deviation = deviation > 0
            ? Math.Max(deviation, Math.Max(Math.Abs(median) / 1000, 1e-9))
            : Math.Max(Math.Sqrt(square), Math.Max(Math.Abs(median) / 50, 1e-9));
        return Math.Clamp((value - median) / deviation, -1e12, 1e12);
    }

    private static double Median(double[] values)
    {
        Array.Sort(values);
        var middle = values.Length / 2;
        return values.Length % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
    }

    public override void Commit(long time)
    {
        if (!hasPending)
            return;
        var shard = shards[Shard];
        var entry = shard.Keys.GetOrAdd(Key, Hash, out var added);
        if (added)
            shard.Histories.Add(new History());
        var rows = shard.Histories[entry].Rows;
        rows.Enqueue((time, pending));
        if (rows.Count > plan.HistorySize)
            rows.Dequeue();
    }

    protected override void Drop(long through)
    {
        foreach (var history in shards.SelectMany(s => s.Histories))
        {
            while (history.Rows.TryPeek(out var old) && old.Time <= through)
                history.Rows.Dequeue();
        }
    }

    public override void Save(StateWriter writer)
    {
        writer.Write(shards.Sum(s => s.Keys.Count));
        foreach (var shard in shards)
        {
            for (var entry = 0; entry < shard.Keys.Count; entry++)
            {
                writer.WriteBytes(shard.Keys.KeyAt(entry));
                writer.Write(shard.Histories[entry].Rows.Count);
                foreach (var (time, value) in shard.Histories[entry].Rows)
                {
                    writer.Write(time);
                    writer.Write(BitConverter.DoubleToInt64Bits(value));
                }
            }
        }
    }

    public override void Load(StateReader reader)
    {
        var count = reader.ReadCount();
        for (var index = 0; index < count; index++)
        {
            var key = reader.ReadBytes();
            var history = new History();
            var rows = reader.ReadCount();
            for (var row = 0; row < rows; row++)
                history.Rows.Enqueue((reader.ReadLong(), BitConverter.Int64BitsToDouble(reader.ReadLong())));
            if (!reader.Wants(key))
                continue;
            var hash = KeyMap.HashOf(key);
            var shard = shards[hash % (uint)shards.Length];
            shard.Keys.GetOrAdd(key, hash, out _);
            shard.Histories.Add(history);
        }
    }
}
