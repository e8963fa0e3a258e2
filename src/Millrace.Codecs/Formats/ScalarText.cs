using System.Buffers;
using Millrace.Codecs.Json;

namespace Millrace.Codecs.Formats;

/// <summary>Values of formats that know only text: what is a JSON number becomes that number, digit for digit.</summary>
internal static class ScalarText
{
    /// <summary>Writes the value of a named field. Names of devices stay text: 0017 and 1e3 are names there.</summary>
    public static void Write(IBufferWriter<byte> output, ReadOnlySpan<byte> name, ReadOnlySpan<byte> value)
    {
        if (IsDeviceName(name))
            JsonText.WriteString(output, value);
        else
            Write(output, value);
    }

    /// <summary>Writes a number without the white space around it, anything else as a string, as it is.</summary>
    public static void Write(IBufferWriter<byte> output, ReadOnlySpan<byte> value)
    {
        var trimmed = JsonText.Trim(value);
        if (JsonText.IsNumber(trimmed))
            output.Write(trimmed);
        else
            JsonText.WriteString(output, value);
    }

    private static bool IsDeviceName(ReadOnlySpan<byte> name) =>
        name.SequenceEqual("id"u8) || name.SequenceEqual("deviceId"u8) || name.SequenceEqual("moteeui"u8);
}
