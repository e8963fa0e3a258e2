using System.Buffers.Binary;
using System.Runtime.CompilerServices;

namespace Millrace.Parquet.Encodings;

/// <summary>Numbers of one bit width side by side, lowest bit first. Hot.</summary>
internal static class BitPacking
{
    /// <summary>Bytes that must be readable behind packed data, so that each value can be taken from one 8-byte load.</summary>
    public const int Slack = 16;

    public static void Pack(ReadOnlySpan<ulong> values, int width, ByteBuffer output)
    {
        if (width == 0)
            return;

        var target = output.GetSpan((int)(((long)values.Length * width + 7) / 8) + 8);
        var at = 0;
        ulong word = 0;
        var used = 0;
        foreach (var value in values)
        {
            word |= value << used;
            used += width;
            if (used < 64)
                continue;

            BinaryPrimitives.WriteUInt64LittleEndian(target[at..], word);
            at += 8;
            used -= 64;
            word = used == 0 ? 0 : value >> (width - used);
        }

        for (; used > 0; used -= 8)
        {
            target[at++] = (byte)word;
            word >>= 8;
        }

        output.Advance(at);
    }

    /// <summary>
    /// Takes <paramref name="target"/>.Length values beginning with number <paramref name="index"/> of the packed run at
    /// <paramref name="start"/>. The caller has checked that the run's bytes lie in the page; <see cref="Slack"/> covers the rest.
    /// </summary>
    public static void Unpack(byte[] source, int start, int width, int index, Span<ulong> target)
    {
        switch (width)
        {
            case 0:
                target.Clear();
                return;
            case 8:
                var bytes = source.AsSpan(start + index, target.Length);
                for (var i = 0; i < bytes.Length; i++)
                    target[i] = bytes[i];
                return;
            case 16:
                var pairs = source.AsSpan(start + index * 2, target.Length * 2);
                for (var i = 0; i < target.Length; i++)
                    target[i] = BinaryPrimitives.ReadUInt16LittleEndian(pairs[(i * 2)..]);
                return;
            case 64:
                for (var i = 0; i < target.Length; i++)
                    target[i] = Load(source, start + (index + i) * 8);
                return;
        }

        var mask = ulong.MaxValue >> (64 - width);
        var bit = (long)index * width;
        if (width <= 56)
        {
            for (var i = 0; i < target.Length; i++, bit += width)
                target[i] = Load(source, start + (int)(bit >> 3)) >> (int)(bit & 7) & mask;
            return;
        }

        for (var i = 0; i < target.Length; i++, bit += width)
        {
            var at = start + (int)(bit >> 3);
            var shift = (int)(bit & 7);
            var low = Load(source, at) >> shift;
            var high = shift == 0 ? 0 : (ulong)source[at + 8] << (64 - shift);
            target[i] = (low | high) & mask;
        }
    }

    public static void Unpack(byte[] source, int start, int width, int index, Span<int> target)
    {
        var mask = width == 0 ? 0 : ulong.MaxValue >> (64 - width);
        var bit = (long)index * width;
        for (var i = 0; i < target.Length; i++, bit += width)
            target[i] = (int)(Load(source, start + (int)(bit >> 3)) >> (int)(bit & 7) & mask);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ulong Load(byte[] source, int at) => BinaryPrimitives.ReadUInt64LittleEndian(source.AsSpan(at, 8));
}
