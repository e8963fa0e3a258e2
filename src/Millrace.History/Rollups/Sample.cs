namespace Millrace.History.Rollups;

/// <summary>One value of one field. Samples of a series stand in order of time, those of the same time in order of the log.</summary>
/// <param name="Time">µs UTC.</param>
public readonly record struct Sample(long Time, int Partition, long Sequence, double Value) : IComparable<Sample>
{
    public int CompareTo(Sample other)
    {
        var byTime = Time.CompareTo(other.Time);
        if (byTime != 0)
            return byTime;

        var byPartition = Partition.CompareTo(other.Partition);
        return byPartition != 0 ? byPartition : Sequence.CompareTo(other.Sequence);
    }

    public static bool operator <(Sample a, Sample b) => a.CompareTo(b) < 0;

    public static bool operator >(Sample a, Sample b) => a.CompareTo(b) > 0;

    public static bool operator <=(Sample a, Sample b) => a.CompareTo(b) <= 0;

    public static bool operator >=(Sample a, Sample b) => a.CompareTo(b) >= 0;
}
