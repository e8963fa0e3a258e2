using System.Buffers.Binary;

namespace Millrace.Parquet.Reading;

/// <summary>The texts of a dictionary page, left where they lie in its bytes.</summary>
internal sealed class TextDictionary
{
    public static readonly TextDictionary Empty = new([], 0, 0, 0, 0);

    private readonly byte[] _page;
    private readonly int[] _starts;
    private readonly int[] _ends;

    public TextDictionary(byte[] page, int length, int count, int fixedLength, long fileOffset)
    {
        if ((long)count * (fixedLength == 0 ? 4 : fixedLength) > length)
            throw new ParquetFormatException($"a dictionary page of {length} bytes cannot hold {count} values", fileOffset);

        _page = page;
        _starts = new int[count];
        _ends = new int[count];
        var at = 0;
        for (var i = 0; i < count; i++)
        {
            var size = fixedLength;
            if (fixedLength == 0)
            {
                size = length - at < 4 ? -1 : BinaryPrimitives.ReadInt32LittleEndian(page.AsSpan(at));
                at += 4;
            }

            if (size < 0 || size > length - at)
                throw new ParquetFormatException($"value {i} of a dictionary page runs over its end", fileOffset);

            _starts[i] = at;
            _ends[i] = at += size;
        }
    }

    public int Count => _starts.Length;

    public ReadOnlySpan<byte> this[int entry] => _page.AsSpan(_starts[entry], _ends[entry] - _starts[entry]);
}
