using System.Buffers;
using System.Text.Unicode;
using Millrace.Codecs.Json;
using Millrace.Core;

namespace Millrace.Codecs.Formats;

/// <summary>application/x-www-form-urlencoded as a JSON object: numbers stay numbers, everything else is text.</summary>
internal static class FormToJson
{
    public static RejectReason Write(ReadOnlySpan<byte> form, int fieldsMax, IBufferWriter<byte> output)
    {
        if (form.IsEmpty)
            return RejectReason.EmptyPayload;
        var buffer = ArrayPool<byte>.Shared.Rent(form.Length);
        try
        {
            output.Write("{"u8);
            var fields = 0;
            foreach (var range in form.Split((byte)'&'))
            {
                var field = form[range];
                if (field.IsEmpty)
                    continue;
                if (++fields > fieldsMax)
                    return RejectReason.TooManyFields;
                if (fields > 1)
                    output.Write(","u8);
                var reason = WriteField(field, buffer, output);
                if (reason != RejectReason.None)
                    return reason;
            }

            output.Write("}"u8);
            return fields == 0 ? RejectReason.EmptyPayload : RejectReason.None;
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    private static RejectReason WriteField(ReadOnlySpan<byte> field, byte[] buffer, IBufferWriter<byte> output)
    {
        var equals = field.IndexOf((byte)'=');
        if (equals <= 0)
            return RejectReason.InvalidForm;
        var nameLength = Decode(field[..equals], buffer);
        var valueLength = nameLength < 0 ? -1 : Decode(field[(equals + 1)..], buffer.AsSpan(nameLength));
        if (valueLength < 0)
            return RejectReason.InvalidForm;

        var name = buffer.AsSpan(0, nameLength);
        var value = buffer.AsSpan(nameLength, valueLength);
        if (!Utf8.IsValid(name) || !Utf8.IsValid(value))
            return RejectReason.InvalidUtf8;
        JsonText.WriteString(output, name);
        output.Write(":"u8);
        ScalarText.Write(output, name, value);
        return RejectReason.None;
    }

    /// <summary>Undoes percent signs and plus signs; -1 when a percent sign is not followed by two digits.</summary>
    private static int Decode(ReadOnlySpan<byte> text, Span<byte> target)
    {
        var written = 0;
        for (var i = 0; i < text.Length; i++)
        {
            if (text[i] != '%')
            {
                target[written++] = text[i] == '+' ? (byte)' ' : text[i];
                continue;
            }

            if (i + 2 >= text.Length || !char.IsAsciiHexDigit((char)text[i + 1]) || !char.IsAsciiHexDigit((char)text[i + 2]))
                return -1;
            target[written++] = (byte)((Nibble(text[i + 1]) << 4) | Nibble(text[i + 2]));
            i += 2;
        }

        return written;
    }

    private static int Nibble(byte digit) => digit <= '9' ? digit - '0' : (digit | 0x20) - 'a' + 10;
}
