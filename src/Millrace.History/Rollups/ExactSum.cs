namespace Millrace.History.Rollups;

/// <summary>
/// A sum of doubles without rounding, so that the order of adding does not matter: the parts do not overlap and together
/// are the exact sum; only <see cref="Value"/> rounds, once. Good for values up to <see cref="AbsoluteMax"/>.
/// </summary>
public struct ExactSum
{
    /// <summary>Greater values are refused: a million of them would leave the range of doubles.</summary>
    public const double AbsoluteMax = 1e290;

    private double[]? _parts;
    private int _count;

    /// <summary>The exact sum, rounded to the nearest double.</summary>
    public readonly double Value
    {
        get
        {
            if (_count == 0)
                return 0;

            // From the greatest part down until one no longer fits; what is left below decides a tie.
            var at = _count - 1;
            var high = _parts![at];
            var low = 0.0;
            while (at > 0)
            {
                var (before, part) = (high, _parts[--at]);
                high = before + part;
                low = part - (high - before);
                if (low != 0)
                    break;
            }

            if (at > 0 && ((low < 0 && _parts[at - 1] < 0) || (low > 0 && _parts[at - 1] > 0)))
            {
                var twice = low * 2;
                var next = high + twice;
                if (twice == next - high)
                    high = next;
            }

            return high;
        }
    }

    /// <summary>The parts, for storing; they do not overlap and rise in size.</summary>
    internal readonly ReadOnlySpan<double> Parts => _parts.AsSpan(0, _count);

    public static bool Accepts(double value) => Math.Abs(value) <= AbsoluteMax;

    public void Add(double value)
    {
        if (!Accepts(value))
            throw new ArgumentOutOfRangeException(nameof(value), value, "Beyond what can be summed.");

        var kept = 0;
        for (var i = 0; i < _count; i++)
        {
            var part = _parts![i];
            var (large, small) = Math.Abs(value) >= Math.Abs(part) ? (value, part) : (part, value);
            var sum = large + small;
            var rest = small - (sum - large);
            if (rest != 0)
                _parts[kept++] = rest;
            value = sum;
        }

        _count = kept;
        if (value == 0)
            return;

        if (_parts is null || _count == _parts.Length)
            Array.Resize(ref _parts, _count + 2);
        _parts![_count++] = value;
    }

    public void Add(in ExactSum other)
    {
        for (var i = 0; i < other._count; i++)
            Add(other._parts![i]);
    }

    /// <summary>A sum as it was stored.</summary>
    internal static ExactSum FromParts(double[] parts) => new() { _parts = parts, _count = parts.Length };

    /// <summary>A copy that does not share its parts.</summary>
    public readonly ExactSum Copy() => new() { _parts = _parts?.AsSpan(0, _count).ToArray(), _count = _count };
}
