namespace Millrace.Parquet.Encodings;

/// <summary>Writes Parquet's mix of runs and bit-packed stretches: definition levels, dictionary indexes, bools.</summary>
internal static class HybridEncoder
{
    /// <summary>Below eight a run costs more than the bits it saves, and packed stretches come in eights anyway.</summary>
    private const int RunMin = 8;

    public static void Write(ReadOnlySpan<int> values, int width, ByteBuffer output)
    {
        var literal = 0;
        var i = 0;
        while (i < values.Length)
        {
            var run = RunLength(values[i..]);
            // A packed stretch must be a multiple of eight before a run may follow; the run lends what is missing.
            var fill = (8 - (i - literal) % 8) % 8;
            if (run - fill < RunMin)
            {
                i += run;
                continue;
            }

            i += fill;
            run -= fill;
            WritePacked(values[literal..i], width, output);
            WriteRun(values[i], run, width, output);
            i += run;
            literal = i;
        }

        WritePacked(values[literal..], width, output);
    }

    /// <summary>Bits of the greatest of <paramref name="count"/> indexes; at least 1, which every reader takes.</summary>
    public static int WidthOf(int count) => Math.Max(1, 32 - int.LeadingZeroCount(Math.Max(count - 1, 0)));

    private static int RunLength(ReadOnlySpan<int> values)
    {
        var other = values.IndexOfAnyExcept(values[0]);
        return other < 0 ? values.Length : other;
    }

    private static void WriteRun(int value, int count, int width, ByteBuffer output)
    {
        output.WriteVarint((uint)count << 1);
        for (var bits = 0; bits < width; bits += 8)
            output.WriteByte((byte)(value >> bits));
    }

    private static void WritePacked(ReadOnlySpan<int> values, int width, ByteBuffer output)
    {
        if (values.IsEmpty)
            return;

        var groups = (values.Length + 7) / 8;
        output.WriteVarint((uint)groups << 1 | 1);
        Span<ulong> wide = stackalloc ulong[8];
        for (var group = 0; group < groups; group++)
        {
            var part = values[(group * 8)..Math.Min(values.Length, group * 8 + 8)];
            wide.Clear();
            for (var i = 0; i < part.Length; i++)
                wide[i] = (uint)part[i];
            BitPacking.Pack(wide, width, output);
        }
    }
}
