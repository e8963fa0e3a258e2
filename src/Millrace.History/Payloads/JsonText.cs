using System.Buffers;

namespace Millrace.History.Payloads;

/// <summary>Where JSON strings end. Hot.</summary>
internal static class JsonText
{
    private static readonly SearchValues<byte> Stops = SearchValues.Create([.. Enumerable.Range(0, 0x20).Select(i => (byte)i), (byte)'"', (byte)'\\']);

    /// <summary>The length of the string that begins here, with its quotes; 0 when it is none.</summary>
    public static int Measure(ReadOnlySpan<byte> json, out bool isEscaped)
    {
        isEscaped = false;
        for (var at = 1; json[at..].IndexOfAny(Stops) is var stop and >= 0;)
        {
            at += stop;
            if (json[at] == '"')
                return at + 1;
            if (json[at] != '\\' || at + 2 > json.Length)
                return 0;
            isEscaped = true;
            at += 2;
        }

        return 0;
    }

    /// <summary>Bytes before the closing quote of a string without escapes, of which the opening quote is passed; -1 for another.</summary>
    public static int MeasurePlain(ReadOnlySpan<byte> json)
    {
        var stop = json.IndexOfAny(Stops);
        return stop >= 0 && json[stop] == '"' ? stop : -1;
    }
}
