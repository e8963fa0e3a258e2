using System.Buffers.Text;

namespace Millrace.Commands.Simulate;

/// <summary>Writes text into a span from left to right; the span must be long enough.</summary>
internal ref struct Utf8Line(Span<byte> target)
{
    private readonly Span<byte> _target = target;

    public int Length { get; private set; }

    public readonly Span<byte> Rest => _target[Length..];

    public void Advance(int bytes) => Length += bytes;

    public void Add(byte b) => _target[Length++] = b;

    public void Add(ReadOnlySpan<byte> text)
    {
        text.CopyTo(Rest);
        Length += text.Length;
    }

    public void Add(long number)
    {
        _ = Utf8Formatter.TryFormat(number, Rest, out var written);
        Length += written;
    }

    /// <summary>A number of thousandths with three decimals: 20829 is 20.829.</summary>
    public void AddThousandths(uint thousandths)
    {
        Add(thousandths / 1000);
        var fraction = thousandths % 1000;
        Add((byte)'.');
        Add((byte)('0' + (fraction / 100)));
        Add((byte)('0' + (fraction / 10 % 10)));
        Add((byte)('0' + (fraction % 10)));
    }

    public void AddHex2(byte b)
    {
        Add("0123456789abcdef"u8[b >> 4]);
        Add("0123456789abcdef"u8[b & 15]);
    }

    /// <summary>ISO 8601 in UTC with milliseconds.</summary>
    public void AddTime(long unixMs)
    {
        _ = DateTimeOffset.FromUnixTimeMilliseconds(unixMs).UtcDateTime
            .TryFormat(Rest, out var written, "yyyy-MM-dd'T'HH:mm:ss.fff'Z'");
        Length += written;
    }
}
