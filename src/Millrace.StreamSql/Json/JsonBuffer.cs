using System.Buffers;
using System.Buffers.Text;
using System.Text;
using Millrace.StreamSql.Values;

namespace Millrace.StreamSql.Json;

/// <summary>Appends JSON to a growing byte array that is reused from row to row. Hot.</summary>
internal sealed class JsonBuffer
{
    private static readonly SearchValues<byte> NeedsEscape =
        SearchValues.Create([.. Enumerable.Range(0, 32).Select(b => (byte)b), (byte)'"', (byte)'\\']);

    private byte[] bytes = new byte[1024];
    private int used;

    public int Length => used;

    public ReadOnlySpan<byte> Written => bytes.AsSpan(0, used);

    public void Clear() => used = 0;

    public void Truncate(int length) => used = length;

    public byte[] ToArray() => Written.ToArray();

    public void Add(byte value)
    {
        if (used == bytes.Length)
            Grow(1);
        bytes[used++] = value;
    }

    public void Add(ReadOnlySpan<byte> text)
    {
        if (bytes.Length - used < text.Length)
            Grow(text.Length);
        text.CopyTo(bytes.AsSpan(used));
        used += text.Length;
    }

    /// <summary>Appends a member of an object.</summary>
    /// <param name="name">The name in quotes, with its colon.</param>
    public void AddMember(ReadOnlySpan<byte> name, bool isFirst, in Value value)
    {
        Reserve(name.Length + 1);
        if (!isFirst)
            bytes[used++] = (byte)',';
        name.CopyTo(bytes.AsSpan(used));
        used += name.Length;
        Add(value);
    }

    /// <summary>Appends a value; NULL becomes null.</summary>
    public void Add(in Value value)
    {
        switch (value.Kind)
        {
            case Kind.Missing or Kind.Null:
                Add("null"u8);
                break;
            case Kind.Bit:
                Add(value.Bits != 0 ? "true"u8 : "false"u8);
                break;
            case Kind.Bigint:
                Add(value.Bits);
                break;
            case Kind.Float:
                Add(value.Double);
                break;
            case Kind.Datetime:
                Reserve(IsoTime.TextLength + 2);
                bytes[used] = (byte)'"';
                IsoTime.Write(value.Bits, bytes.AsSpan(used + 1));
                bytes[used + IsoTime.TextLength + 1] = (byte)'"';
                used += IsoTime.TextLength + 2;
                break;
            case Kind.Text:
                AddString(value.Span);
                break;
            case Kind.EscapedText:
                Add((byte)'"');
                Add(value.Span);
                Add((byte)'"');
                break;
            default:
                Add(value.Span);
                break;
        }
    }

    public void Add(long value)
    {
        Reserve(20);
        Utf8Formatter.TryFormat(value, bytes.AsSpan(used), out var written);
        used += written;
    }

    /// <summary>Shortest text that reads back as the same double; a whole number keeps ".0", so that it stays a float.</summary>
    public void Add(double value)
    {
        Reserve(DoubleText.LengthMax);
        used += DoubleText.Write(value, bytes.AsSpan(used));
        if (value == Math.Truncate(value) && Math.Abs(value) < DoubleText.ExponentFrom)
            Add(".0"u8);
    }

    public void AddString(ReadOnlySpan<byte> text)
    {
        Reserve(text.Length + 2);
        bytes[used++] = (byte)'"';
        if (text.IndexOfAny(NeedsEscape) < 0)
        {
            text.CopyTo(bytes.AsSpan(used));
            used += text.Length;
            bytes[used++] = (byte)'"';
            return;
        }

        foreach (var value in text)
        {
            switch (value)
            {
                case (byte)'"': Add("\\\""u8); break;
                case (byte)'\\': Add("\\\\"u8); break;
                case (byte)'\n': Add("\\n"u8); break;
                case (byte)'\r': Add("\\r"u8); break;
                case (byte)'\t': Add("\\t"u8); break;
                case < 32: Add(Encoding.ASCII.GetBytes($"\\u{value:x4}")); break;
                default: Add(value); break;
            }
        }

        Add((byte)'"');
    }

    private void Reserve(int count)
    {
        if (bytes.Length - used < count)
            Grow(count);
    }

    private void Grow(int count) => Array.Resize(ref bytes, Math.Max(bytes.Length * 2, used + count));
}
