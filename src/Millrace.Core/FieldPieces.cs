using System.Buffers.Binary;

namespace Millrace.Core;

/// <summary>What a piece holds. Members that are not there have none.</summary>
public enum PieceKind : byte
{
    False,
    True,
    Integer,
    Double,

    /// <summary>Text in UTF-8, without quotes and escapes.</summary>
    Text,

    /// <summary>A number that neither 64-bit form holds exactly, as JSON writes it.</summary>
    Digits,
}

/// <summary>
/// Goes through the members of a <see cref="PastReading"/>. A piece is u16 number of its path, u8 kind and, but for bools, i64
/// bits, or u32 length and text. Hot.
/// </summary>
public ref struct FieldPieces(byte[] buffer, int start, int end)
{
    private const int HeadBytes = 3;

    private int _next = start;

    /// <summary>The number of the path in <see cref="WantedFields.Paths"/>.</summary>
    public int Path { get; private set; }

    public PieceKind Kind { get; private set; }

    public long Integer { get; private set; }

    public readonly double Double => BitConverter.Int64BitsToDouble(Integer);

    /// <summary>Where text or digits begin in the reading's buffer.</summary>
    public int Start { get; private set; }

    public int Length { get; private set; }

    public bool MoveNext()
    {
        if (_next >= end)
            return false;

        var piece = buffer.AsSpan(_next);
        Path = BinaryPrimitives.ReadUInt16LittleEndian(piece);
        Kind = (PieceKind)piece[2];
        _next += HeadBytes;
        if (Kind is PieceKind.Integer or PieceKind.Double)
        {
            Integer = BinaryPrimitives.ReadInt64LittleEndian(piece[HeadBytes..]);
            _next += 8;
        }
        else if (Kind >= PieceKind.Text)
        {
            Length = BinaryPrimitives.ReadInt32LittleEndian(piece[HeadBytes..]);
            Start = _next + 4;
            _next = Start + Length;
        }

        return true;
    }

    /// <summary>Writes a bool, integer or double; returns its bytes, 11 at most.</summary>
    public static int Write(Span<byte> target, int path, PieceKind kind, long bits)
    {
        BinaryPrimitives.WriteUInt16LittleEndian(target, (ushort)path);
        target[2] = (byte)kind;
        if (kind <= PieceKind.True)
            return HeadBytes;

        BinaryPrimitives.WriteInt64LittleEndian(target[HeadBytes..], bits);
        return HeadBytes + 8;
    }

    /// <summary>Writes text or digits; returns its bytes, 7 more than the text's.</summary>
    public static int Write(Span<byte> target, int path, PieceKind kind, ReadOnlySpan<byte> text)
    {
        BinaryPrimitives.WriteUInt16LittleEndian(target, (ushort)path);
        target[2] = (byte)kind;
        BinaryPrimitives.WriteInt32LittleEndian(target[HeadBytes..], text.Length);
        text.CopyTo(target[(HeadBytes + 4)..]);
        return HeadBytes + 4 + text.Length;
    }
}
