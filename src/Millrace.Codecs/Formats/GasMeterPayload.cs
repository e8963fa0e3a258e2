using System.Buffers;
using System.Buffers.Binary;
using System.Buffers.Text;
using System.Globalization;
using Millrace.Codecs.Json;
using Millrace.Core;

namespace Millrace.Codecs.Formats;

/// <summary>
/// The bytes of a gas meter (docs/formats/payloads.md): type, factory code, bought, left, used, status, version.
/// Allocates nothing.
/// </summary>
internal static class GasMeterPayload
{
    private const int Bytes = 20;

    /// <summary>What the article's rules need at least: everything before the version.</summary>
    private const int ArticleBytesMin = 16;

    /// <summary>A payload of more characters than this is no meter's, in either variant.</summary>
    private const int Base64CharsMax = 8192;

    /// <summary>Whether the base64 text holds a payload of the variant.</summary>
    public static RejectReason Check(ReadOnlySpan<byte> base64, GasMeterVariant variant)
    {
        Span<byte> bytes = stackalloc byte[Bytes + 1];
        var reason = Decode(base64, bytes, out var length);
        if (reason != RejectReason.None)
            return reason;
        var fits = variant == GasMeterVariant.Standard ? length == Bytes : length >= ArticleBytesMin;
        return fits ? RejectReason.None : RejectReason.Length;
    }

    /// <summary>Writes the members of userData up to the version, without braces. The payload has passed <see cref="Check"/>.</summary>
    public static void WriteMembers(IBufferWriter<byte> output, ReadOnlySpan<byte> base64, GasMeterVariant variant)
    {
        Span<byte> bytes = stackalloc byte[Bytes + 1];
        Decode(base64, bytes, out var length);
        bytes = bytes[..Math.Min(length, Bytes)];
        WriteNumber(output, "\"type\":"u8, bytes[0]);
        WriteNumber(output, ",\"code\":"u8, bytes[1]);
        if (variant == GasMeterVariant.Standard)
            WriteStandard(output, bytes);
        else
            WriteArticle(output, bytes);
    }

    private static void WriteStandard(IBufferWriter<byte> output, Span<byte> bytes)
    {
        WriteThousandths(output, ",\"bought\":"u8, BinaryPrimitives.ReadUInt32BigEndian(bytes[2..]));
        WriteThousandths(output, ",\"left\":"u8, BinaryPrimitives.ReadUInt32BigEndian(bytes[6..]));
        WriteThousandths(output, ",\"used\":"u8, BinaryPrimitives.ReadUInt32BigEndian(bytes[10..]));
        WriteNumber(output, ",\"status\":"u8, BinaryPrimitives.ReadUInt16BigEndian(bytes[14..]));

        var version = bytes[16..].TrimEnd("\0 "u8);
        foreach (ref var b in version)
        {
            if (b is < 0x20 or > 0x7E)
                b = (byte)'?';
        }

        output.Write(",\"version\":"u8);
        JsonText.WriteString(output, version);
    }

    private static void WriteArticle(IBufferWriter<byte> output, Span<byte> bytes)
    {
        WriteFloat(output, ",\"bought\":"u8, BinaryPrimitives.ReadInt16LittleEndian(bytes[2..]));
        WriteFloat(output, ",\"left\":"u8, BinaryPrimitives.ReadInt16LittleEndian(bytes[6..]));
        WriteFloat(output, ",\"used\":"u8, BinaryPrimitives.ReadInt16LittleEndian(bytes[10..]));
        WriteNumber(output, ",\"status\":"u8, BinaryPrimitives.ReadInt16LittleEndian(bytes[14..]));

        var version = bytes[16..];
        foreach (ref var b in version)
        {
            if (b >= 0x80)
                b = (byte)'?';
        }

        output.Write(",\"version\":"u8);
        JsonText.WriteString(output, version);
    }

    private static void WriteNumber(IBufferWriter<byte> output, ReadOnlySpan<byte> name, int value)
    {
        output.Write(name);
        var span = output.GetSpan(16);
        Utf8Formatter.TryFormat(value, span, out var written);
        output.Advance(written);
    }

    /// <summary>Exact: 979171 becomes 979.171, 1000000 becomes 1000.0.</summary>
    private static void WriteThousandths(IBufferWriter<byte> output, ReadOnlySpan<byte> name, uint value)
    {
        output.Write(name);
        var span = output.GetSpan(24);
        (value / 1000m).TryFormat(span, out var written, "0.0##", CultureInfo.InvariantCulture);
        output.Advance(written);
    }

    private static void WriteFloat(IBufferWriter<byte> output, ReadOnlySpan<byte> name, short value)
    {
        output.Write(name);
        var span = output.GetSpan(24);
        (value / 1000f).TryFormat(span, out var written, "0.0##", CultureInfo.InvariantCulture);
        output.Advance(written);
    }

    /// <summary>
    /// Base64 with or without padding, standard or URL alphabet. Bytes beyond the target are counted and not kept.
    /// </summary>
    private static RejectReason Decode(ReadOnlySpan<byte> text, Span<byte> target, out int length)
    {
        length = 0;
        text = text.TrimEnd((byte)'=') is var trimmed && text.Length - trimmed.Length <= 2 ? trimmed : text;
        if (text.Length % 4 == 1)
            return RejectReason.Base64;
        if (text.Length > Base64CharsMax)
            return RejectReason.Length;

        var bits = 0;
        var pending = 0;
        foreach (var b in text)
        {
            var value = ValueOf(b);
            if (value < 0)
                return RejectReason.Base64;
            pending = ((pending << 6) | value) & 0xFFFF;
            bits += 6;
            if (bits < 8)
                continue;
            bits -= 8;
            if (length < target.Length)
                target[length] = (byte)(pending >> bits);
            length++;
        }

        return RejectReason.None;
    }

    private static int ValueOf(byte b) => b switch
    {
        >= (byte)'A' and <= (byte)'Z' => b - 'A',
        >= (byte)'a' and <= (byte)'z' => b - 'a' + 26,
        >= (byte)'0' and <= (byte)'9' => b - '0' + 52,
        (byte)'+' or (byte)'-' => 62,
        (byte)'/' or (byte)'_' => 63,
        _ => -1,
    };
}
