using Millrace.StreamSql.Expressions;
using Millrace.StreamSql.State;
using Millrace.StreamSql.Values;

namespace Millrace.StreamSql.Aggregates;

/// <summary>COUNT(*) and COUNT(x).</summary>
internal sealed class CountAggregate : Aggregate
{
    public override int Words => 1;

    public override void Add(Span<ulong> words, Span<object?> references, ReadOnlySpan<Value> arguments)
    {
        if (arguments.Length == 0 || !arguments[0].IsNull)
            words[0]++;
    }

    public override void Merge(Span<ulong> words, Span<object?> references, ReadOnlySpan<ulong> laterWords, ReadOnlySpan<object?> later)
        => words[0] += laterWords[0];

    public override void Result(ReadOnlySpan<ulong> words, ReadOnlySpan<object?> references, Frame frame, out Value result)
        => result = Value.Of((long)words[0]);
}

internal enum SumResult
{
    Sum,
    Average,
}

/// <summary>
/// SUM and AVG. Words: count of values (top bit: a float was among them), 128-bit sum of the bigints, sum of the floats.
/// The wide sum makes overflow depend on the total alone and not on the order of rows.
/// </summary>
internal sealed class SumAggregate(SumResult kind) : Aggregate
{
    public const int WordCount = 4;

    private const ulong FloatSeen = 1UL << 63;

    public override int Words => WordCount;

    public override void Add(Span<ulong> words, Span<object?> references, ReadOnlySpan<Value> arguments)
    {
        ref readonly var value = ref arguments[0];
        if (value.IsNull)
            return;
        words[0]++;
        if (value.Kind == Kind.Bigint)
        {
            var sum = new Int128(words[1], words[2]) + value.Bits;
            words[1] = (ulong)(sum >>> 64);
            words[2] = (ulong)sum;
            return;
        }

        words[0] |= FloatSeen;
        words[3] = BitConverter.DoubleToUInt64Bits(BitConverter.UInt64BitsToDouble(words[3]) + value.Double);
    }

    public override void Merge(Span<ulong> words, Span<object?> references, ReadOnlySpan<ulong> laterWords, ReadOnlySpan<object?> later)
    {
        words[0] = ((words[0] | laterWords[0]) & FloatSeen) | ((words[0] & ~FloatSeen) + (laterWords[0] & ~FloatSeen));
        var sum = new Int128(words[1], words[2]) + new Int128(laterWords[1], laterWords[2]);
        words[1] = (ulong)(sum >>> 64);
        words[2] = (ulong)sum;
        words[3] = BitConverter.DoubleToUInt64Bits(
            BitConverter.UInt64BitsToDouble(words[3]) + BitConverter.UInt64BitsToDouble(laterWords[3]));
    }

    public override void Result(ReadOnlySpan<ulong> words, ReadOnlySpan<object?> references, Frame frame, out Value result)
    {
        result = Value.Null;
        var count = words[0] & ~FloatSeen;
        if (count == 0)
            return;
        var whole = new Int128(words[1], words[2]);
        if (kind == SumResult.Sum && (words[0] & FloatSeen) == 0)
        {
            if (whole < long.MinValue || whole > long.MaxValue)
                frame.Fail("SUM exceeds bigint");
            else
                result = Value.Of((long)whole);
            return;
        }

        var sum = (double)whole + BitConverter.UInt64BitsToDouble(words[3]);
        if (kind == SumResult.Average)
            sum /= count;
        if (double.IsFinite(sum))
            result = Value.Of(sum);
        else
            frame.Fail("SUM or AVG exceeds float");
    }
}

/// <summary>STDEV, VAR, STDEVP, VARP by Welford's update and Chan's merge: stable for large means.</summary>
internal sealed class VarianceAggregate(bool population, bool root) : Aggregate
{
    public override int Words => 3;

    public override void Add(Span<ulong> words, Span<object?> references, ReadOnlySpan<Value> arguments)
    {
        ref readonly var value = ref arguments[0];
        if (value.IsNull)
            return;
        var x = value.Kind == Kind.Bigint ? value.Bits : value.Double;
        var count = ++words[0];
        var mean = BitConverter.UInt64BitsToDouble(words[1]);
        var delta = x - mean;
        mean += delta / count;
        words[1] = BitConverter.DoubleToUInt64Bits(mean);
        words[2] = BitConverter.DoubleToUInt64Bits(BitConverter.UInt64BitsToDouble(words[2]) + delta * (x - mean));
    }

    public override void Merge(Span<ulong> words, Span<object?> references, ReadOnlySpan<ulong> laterWords, ReadOnlySpan<object?> later)
    {
        if (laterWords[0] == 0)
            return;
        if (words[0] == 0)
        {
            laterWords[..3].CopyTo(words);
            return;
        }

        double countA = words[0];
        double countB = laterWords[0];
        var meanA = BitConverter.UInt64BitsToDouble(words[1]);
        var delta = BitConverter.UInt64BitsToDouble(laterWords[1]) - meanA;
        var total = countA + countB;
        words[0] += laterWords[0];
        words[1] = BitConverter.DoubleToUInt64Bits(meanA + delta * countB / total);
        words[2] = BitConverter.DoubleToUInt64Bits(
            BitConverter.UInt64BitsToDouble(words[2]) + BitConverter.UInt64BitsToDouble(laterWords[2])
            + delta * delta * countA * countB / total);
    }

    public override void Result(ReadOnlySpan<ulong> words, ReadOnlySpan<object?> references, Frame frame, out Value result)
    {
        result = Value.Null;
        var divisor = (long)words[0] - (population ? 0 : 1);
        if (divisor <= 0)
            return;
        var variance = Math.Max(0, BitConverter.UInt64BitsToDouble(words[2])) / divisor;
        variance = root ? Math.Sqrt(variance) : variance;
        if (double.IsFinite(variance))
            result = Value.Of(variance);
        else
            frame.Fail("a variance exceeds float");
    }
}

/// <summary>MIN and MAX of numbers, datetimes and strings. Words: kind (0: none yet) and bits; text is a reference.</summary>
internal sealed class ExtremeAggregate(bool largest) : Aggregate
{
    public const int WordCount = 2;

    public override int Words => WordCount;

    public override int References => 1;

    private static Value Load(ReadOnlySpan<ulong> words, ReadOnlySpan<object?> references) => new()
    {
        Kind = (Kind)words[0],
        Bits = (long)words[1],
        Buffer = references.IsEmpty ? null : (byte[]?)references[0],
    };

    /// <summary>Only text is kept in the reference.</summary>
    public override bool NeedsReferences(ReadOnlySpan<Value> arguments) => arguments[0].IsSlice;

    private bool Wins(in Value candidate, in Value current)
    {
        if (candidate.Kind == Kind.Float && current.Kind == Kind.Float)
            return largest ? candidate.Double > current.Double : candidate.Double < current.Double;
        var order = Comparison.Rank(candidate, current);
        return largest ? order > 0 : order < 0;
    }

    public override void Add(Span<ulong> words, Span<object?> references, ReadOnlySpan<Value> arguments)
    {
        ref readonly var value = ref arguments[0];
        if (value.Kind == Kind.Float && words[0] == (ulong)Kind.Float)
        {
            var current = BitConverter.UInt64BitsToDouble(words[1]);
            if (largest ? value.Double > current : value.Double < current)
                words[1] = (ulong)value.Bits;
            return;
        }

        if (!value.IsNull && (words[0] == 0 || Wins(value, Load(words, references))))
            Store(words, references, value.Owned());
    }

    private static void Store(Span<ulong> words, Span<object?> references, in Value value)
    {
        words[0] = (ulong)value.Kind;
        words[1] = (ulong)value.Bits;
        if (!references.IsEmpty)
            references[0] = value.Buffer;
    }

    public override void Merge(Span<ulong> words, Span<object?> references, ReadOnlySpan<ulong> laterWords, ReadOnlySpan<object?> later)
    {
        if (laterWords[0] == 0)
            return;
        var value = Load(laterWords, later);
        if (words[0] == 0 || Wins(value, Load(words, references)))
            Store(words, references, value);
    }

    public override void Result(ReadOnlySpan<ulong> words, ReadOnlySpan<object?> references, Frame frame, out Value result)
    {
        result = Load(words, references);
        if (result.Kind == Kind.Missing)
            result.Kind = Kind.Null;
    }

    public override void Save(StateWriter writer, ReadOnlySpan<object?> references)
        => writer.WriteBytes(references.IsEmpty ? null : (byte[]?)references[0]);

    public override void Load(StateReader reader, Span<object?> references)
    {
        var bytes = reader.ReadBytes();
        references[0] = bytes.Length == 0 ? null : bytes;
    }

    public override long HeldBytes(ReadOnlySpan<object?> references) => ((byte[]?)references[0])?.Length ?? 0;
}
