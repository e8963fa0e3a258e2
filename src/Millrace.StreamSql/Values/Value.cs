using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;

namespace Millrace.StreamSql.Values;

/// <summary>
/// One SQL value. Hot: 24 bytes, no boxing. Text, numbers as text, records and arrays are slices of a byte array, which
/// for values of the current event is the engine's reused payload buffer; whoever keeps a value takes <see cref="Owned"/>.
/// </summary>
[StructLayout(LayoutKind.Auto)]
internal struct Value
{
    public byte[]? Buffer;
    public long Bits;
    public Kind Kind;

    public readonly bool IsNull
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => Kind <= Kind.Null;
    }

    public readonly int Offset => (int)(Bits >> 32);

    public readonly int Length => (int)Bits;

    public readonly ReadOnlySpan<byte> Span
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => new(Buffer!, (int)(Bits >> 32), (int)Bits);
    }

    public readonly double Double => BitConverter.Int64BitsToDouble(Bits);

    public readonly bool IsText => Kind is Kind.Text or Kind.EscapedText;

    public readonly bool IsSlice => Kind >= Kind.Text;

    public static Value Null => new() { Kind = Kind.Null };

    public static Value Of(bool value) => new() { Kind = Kind.Bit, Bits = value ? 1 : 0 };

    public static Value Of(long value) => new() { Kind = Kind.Bigint, Bits = value };

    public static Value Of(double value) => new() { Kind = Kind.Float, Bits = BitConverter.DoubleToInt64Bits(value) };

    public static Value Of(string text) => OfBytes(Kind.Text, Encoding.UTF8.GetBytes(text));

    public static Value OfTicks(long ticks) => new() { Kind = Kind.Datetime, Bits = ticks };

    public static Value OfBytes(Kind kind, byte[] bytes) => new() { Kind = kind, Buffer = bytes, Bits = bytes.Length };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Value Slice(Kind kind, byte[] buffer, int offset, int length)
        => new() { Kind = kind, Buffer = buffer, Bits = ((long)offset << 32) | (uint)length };

    /// <summary>A copy that shares no bytes with the current event.</summary>
    public readonly Value Owned()
    {
        if (!IsSlice)
            return this;
        if (Length == 0)
            return Slice(Kind, [], 0, 0);
        if (Kind == Kind.NumberText && Numbers.TryParse(Span, out var number))
            return number;
        return OfBytes(Kind, Span.ToArray());
    }

    /// <summary>Bytes this value keeps alive beyond its own 24, for memory estimates.</summary>
    public readonly int HeldBytes => IsSlice ? Length + 24 : 0;
}
