namespace Millrace.Codecs.Formats;

/// <summary>
/// Numbers that name a device, as decimal text: the same text for every way of writing the same number (7, 7.0, 70e-1),
/// without an exponent, exactly.
/// </summary>
internal static class DecimalText
{
    /// <summary>Writes a JSON number as decimal text.</summary>
    /// <returns>Its length, or 0 when it does not fit.</returns>
    public static int Write(ReadOnlySpan<byte> number, Span<byte> target)
    {
        var negative = number[0] == '-';
        if (negative)
            number = number[1..];

        var exponent = 0L;
        if (number.IndexOfAny((byte)'e', (byte)'E') is var e and >= 0)
        {
            if (!long.TryParse(number[(e + 1)..], out exponent) || exponent is < -100_000 or > 100_000)
                return 0;
            number = number[..e];
        }

        var point = number.IndexOf((byte)'.');
        var whole = point < 0 ? number : number[..point];
        var fraction = point < 0 ? default : number[(point + 1)..];
        var digits = whole.Length + fraction.Length;

        // The decimal point stands after this many of all the digits; both ends lose their zeros.
        var pointAt = whole.Length + exponent;
        var first = 0;
        while (first < digits && Digit(whole, fraction, first) == '0')
            first++;
        var last = digits;
        while (last > first && Digit(whole, fraction, last - 1) == '0')
            last--;
        if (first == last)
            return Put("0"u8, target);

        var writer = new Writer(target);
        if (negative)
            writer.Add((byte)'-');
        for (var i = Math.Min(first, pointAt); i < pointAt; i++)
            writer.Add(i >= first && i < last ? Digit(whole, fraction, (int)i) : (byte)'0');
        if (pointAt <= first)
            writer.Add((byte)'0');
        if (last > pointAt)
        {
            writer.Add((byte)'.');
            for (var i = pointAt; i < last; i++)
                writer.Add(i >= first ? Digit(whole, fraction, (int)i) : (byte)'0');
        }

        return writer.Length;
    }

    private static byte Digit(ReadOnlySpan<byte> whole, ReadOnlySpan<byte> fraction, int index) =>
        index < whole.Length ? whole[index] : fraction[index - whole.Length];

    private static int Put(ReadOnlySpan<byte> text, Span<byte> target) => text.TryCopyTo(target) ? text.Length : 0;

    private ref struct Writer(Span<byte> target)
    {
        private readonly Span<byte> _target = target;
        private int _length;

        /// <summary>Zero when the text did not fit.</summary>
        public readonly int Length => _length <= _target.Length ? _length : 0;

        public void Add(byte b)
        {
            if (_length < _target.Length)
                _target[_length] = b;
            _length++;
        }
    }
}
