namespace Millrace.Core;

/// <summary>One place in the log as the outside knows it.</summary>
public readonly record struct LogPosition(int Partition, long Sequence)
{
    public override string ToString() => $"{Partition}:{Sequence}";

    public static bool TryParse(ReadOnlySpan<char> text, out LogPosition position)
    {
        position = default;
        var colon = text.IndexOf(':');
        if (colon <= 0 || !int.TryParse(text[..colon], out var partition) || !long.TryParse(text[(colon + 1)..], out var sequence))
            return false;
        position = new LogPosition(partition, sequence);
        return true;
    }
}

/// <summary>How far a view has read: per partition the next sequence it wants. Immutable value semantics by copying.</summary>
public sealed class PositionVector : IEquatable<PositionVector>
{
    private readonly long[] _next;

    public PositionVector(int partitions) => _next = new long[partitions];

    public PositionVector(ReadOnlySpan<long> next) => _next = next.ToArray();

    public int Count => _next.Length;

    public long this[int partition]
    {
        get => Volatile.Read(ref _next[partition]);
        set => Volatile.Write(ref _next[partition], value);
    }

    public PositionVector Copy() => new(_next);

    /// <summary>Readings before here, over all partitions.</summary>
    public long Total
    {
        get
        {
            long total = 0;
            for (var p = 0; p < _next.Length; p++)
                total += this[p];
            return total;
        }
    }

    /// <summary>Readings between here and <paramref name="ahead"/>, over all partitions; never negative.</summary>
    public long LagBehind(PositionVector ahead)
    {
        long lag = 0;
        for (var p = 0; p < _next.Length; p++)
            lag += Math.Max(0, ahead[p] - this[p]);
        return lag;
    }

    public bool Equals(PositionVector? other) => other is not null && _next.AsSpan().SequenceEqual(other._next);

    public override bool Equals(object? obj) => Equals(obj as PositionVector);

    public override int GetHashCode() => _next.Length == 0 ? 0 : HashCode.Combine(_next.Length, _next[0]);

    /// <summary>The sequences with commas, as kept in text checkpoints.</summary>
    public override string ToString() => string.Join(',', _next);

    public static PositionVector Parse(string text) =>
        new(text.Length == 0 ? [] : Array.ConvertAll(text.Split(','), long.Parse).AsSpan());
}
