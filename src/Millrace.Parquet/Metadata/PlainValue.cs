using System.Buffers.Binary;
using System.Text;

namespace Millrace.Parquet.Metadata;

/// <summary>Values in the plain encoding as statistics hold them: how they compare, and how long texts are cut.</summary>
internal static class PlainValue
{
    /// <summary>Statistics of long texts are cut here: they serve to skip, and the first bytes do that.</summary>
    private const int TextBytesMax = 64;

    public static byte[] Int32(int value)
    {
        var bytes = new byte[4];
        BinaryPrimitives.WriteInt32LittleEndian(bytes, value);
        return bytes;
    }

    public static byte[] Int64(long value)
    {
        var bytes = new byte[8];
        BinaryPrimitives.WriteInt64LittleEndian(bytes, value);
        return bytes;
    }

    public static int Compare(ParquetColumn column, ReadOnlySpan<byte> a, ReadOnlySpan<byte> b) => column.Physical switch
    {
        PhysicalType.Boolean => a[0].CompareTo(b[0]),
        PhysicalType.Int32 when column.IsUnsigned =>
            BinaryPrimitives.ReadUInt32LittleEndian(a).CompareTo(BinaryPrimitives.ReadUInt32LittleEndian(b)),
        PhysicalType.Int32 => BinaryPrimitives.ReadInt32LittleEndian(a).CompareTo(BinaryPrimitives.ReadInt32LittleEndian(b)),
        PhysicalType.Int64 when column.IsUnsigned =>
            BinaryPrimitives.ReadUInt64LittleEndian(a).CompareTo(BinaryPrimitives.ReadUInt64LittleEndian(b)),
        PhysicalType.Int64 => BinaryPrimitives.ReadInt64LittleEndian(a).CompareTo(BinaryPrimitives.ReadInt64LittleEndian(b)),
        PhysicalType.Float => BinaryPrimitives.ReadSingleLittleEndian(a).CompareTo(BinaryPrimitives.ReadSingleLittleEndian(b)),
        PhysicalType.Double => BinaryPrimitives.ReadDoubleLittleEndian(a).CompareTo(BinaryPrimitives.ReadDoubleLittleEndian(b)),
        _ when column.Kind == ParquetKind.Decimal => Decimal(a).CompareTo(Decimal(b)),
        _ => a.SequenceCompareTo(b),
    };

    /// <summary>Whether bytes have the length that a value of the column has; statistics of others are not used.</summary>
    public static bool Fits(ParquetColumn column, byte[]? bytes) => bytes is not null && column.Physical switch
    {
        PhysicalType.Boolean => bytes.Length == 1,
        PhysicalType.Int32 or PhysicalType.Float => bytes.Length == 4,
        PhysicalType.Int64 or PhysicalType.Double => bytes.Length == 8,
        PhysicalType.FixedLenByteArray => bytes.Length == column.FixedLength
            && (column.Kind != ParquetKind.Decimal || bytes.Length <= 16),
        _ => column.Kind != ParquetKind.Decimal || bytes.Length is >= 1 and <= 16,
    };

    /// <summary>A big-endian two's complement number of up to 16 bytes.</summary>
    public static Int128 Decimal(ReadOnlySpan<byte> bytes)
    {
        Int128 value = bytes.IsEmpty || bytes[0] < 0x80 ? 0 : -1;
        foreach (var b in bytes)
            value = value << 8 | b;
        return value;
    }

    /// <summary>Cuts a minimum; a cut text is never greater than the whole.</summary>
    public static (byte[] Value, bool Exact) CutMin(ParquetColumn column, ReadOnlySpan<byte> value) =>
        MustCut(column, value) ? (value[..CutLength(column, value)].ToArray(), false) : (value.ToArray(), true);

    /// <summary>Cuts a maximum and raises its last character, so that it is never less than the whole.</summary>
    public static (byte[] Value, bool Exact) CutMax(ParquetColumn column, ReadOnlySpan<byte> value)
    {
        if (!MustCut(column, value))
            return (value.ToArray(), true);

        var cut = value[..CutLength(column, value)].ToArray();
        var raised = column.Kind == ParquetKind.Bytes ? RaiseByte(cut) : RaiseRune(cut);
        return raised is null ? (value.ToArray(), true) : (raised, false);
    }

    private static bool MustCut(ParquetColumn column, ReadOnlySpan<byte> value) =>
        column.Physical == PhysicalType.ByteArray && value.Length > TextBytesMax;

    private static int CutLength(ParquetColumn column, ReadOnlySpan<byte> value)
    {
        var length = TextBytesMax;
        if (column.Kind == ParquetKind.Bytes)
            return length;

        // Not inside a character, or readers that show statistics as text would stumble.
        while (length > 0 && (value[length] & 0xC0) == 0x80)
            length--;
        return length;
    }

    private static byte[]? RaiseByte(byte[] cut)
    {
        var last = cut.AsSpan().LastIndexOfAnyExcept((byte)0xFF);
        if (last < 0)
            return null;

        cut[last]++;
        return cut[..(last + 1)];
    }

    private static byte[]? RaiseRune(ReadOnlySpan<byte> cut)
    {
        while (!cut.IsEmpty)
        {
            if (Rune.DecodeLastFromUtf8(cut, out var rune, out var length) != System.Buffers.OperationStatus.Done)
                return null;

            cut = cut[..^length];
            var next = rune.Value == 0xD7FF ? 0xE000 : rune.Value + 1;
            if (!Rune.IsValid(next))
                continue;

            var raised = new byte[cut.Length + 4];
            cut.CopyTo(raised);
            return raised[..(cut.Length + new Rune(next).EncodeToUtf8(raised.AsSpan(cut.Length)))];
        }

        return null;
    }
}
