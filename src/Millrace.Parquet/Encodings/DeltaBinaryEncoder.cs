using System.Buffers;

namespace Millrace.Parquet.Encodings;

/// <summary>The shape of delta blocks: how many values share a minimum, and whether widths are rounded up to whole bytes.</summary>
/// <remarks>
/// Whole bytes cost bits and give GZIP something to find. Large blocks pay when runs are short: with one minimum for thousands of
/// values equal deltas stay equal bytes, where small blocks would each have a minimum of their own.
/// </remarks>
internal readonly record struct DeltaShape(int BlockValues, int Miniblocks, bool WholeBytes)
{
    public static readonly DeltaShape Default = new(128, 4, false);

    public static readonly DeltaShape[] Candidates =
        [Default, new(128, 4, true), new(8192, 32, true), new(2048, 8, false)];

    public int MiniblockValues => BlockValues / Miniblocks;
}

/// <summary>Writes DELTA_BINARY_PACKED. Hot.</summary>
internal static class DeltaBinaryEncoder
{
    public static void Write(ReadOnlySpan<long> values, bool is32, DeltaShape shape, ByteBuffer output)
    {
        output.WriteVarint((uint)shape.BlockValues);
        output.WriteVarint((uint)shape.Miniblocks);
        output.WriteVarint((uint)values.Length);
        output.WriteZigZag(values.IsEmpty ? 0 : values[0]);
        if (values.Length < 2)
            return;

        var rented = ArrayPool<ulong>.Shared.Rent(shape.BlockValues);
        var deltas = rented.AsSpan(0, shape.BlockValues);
        for (var at = 1; at < values.Length; at += shape.BlockValues)
        {
            var count = Math.Min(shape.BlockValues, values.Length - at);
            WriteBlock(values.Slice(at - 1, count + 1), is32, shape, deltas, output);
        }

        ArrayPool<ulong>.Shared.Return(rented);
    }

    /// <remarks><paramref name="values"/>: The block's values after the one before it.</remarks>
    private static void WriteBlock(
        ReadOnlySpan<long> values, bool is32, DeltaShape shape, Span<ulong> deltas, ByteBuffer output)
    {
        var count = values.Length - 1;
        var minimum = long.MaxValue;
        for (var i = 0; i < count; i++)
        {
            var delta = values[i + 1] - values[i];
            if (is32)
                delta = (int)delta;
            deltas[i] = (ulong)delta;
            minimum = Math.Min(minimum, delta);
        }

        var mask = is32 ? uint.MaxValue : ulong.MaxValue;
        for (var i = 0; i < count; i++)
            deltas[i] = deltas[i] - (ulong)minimum & mask;
        deltas[count..].Clear();

        output.WriteZigZag(minimum);
        Span<int> widths = stackalloc int[shape.Miniblocks];
        for (var m = 0; m < shape.Miniblocks; m++)
        {
            widths[m] = WidthOf(deltas.Slice(m * shape.MiniblockValues, shape.MiniblockValues), shape.WholeBytes);
            output.WriteByte((byte)widths[m]);
        }

        for (var m = 0; m * shape.MiniblockValues < count; m++)
            BitPacking.Pack(deltas.Slice(m * shape.MiniblockValues, shape.MiniblockValues), widths[m], output);
    }

    private static int WidthOf(ReadOnlySpan<ulong> deltas, bool wholeBytes)
    {
        ulong all = 0;
        foreach (var delta in deltas)
            all |= delta;

        var width = 64 - (int)ulong.LeadingZeroCount(all);
        return wholeBytes ? (width + 7) / 8 * 8 : width;
    }
}
