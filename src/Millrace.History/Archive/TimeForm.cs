using System.Globalization;
using System.Text;
using Millrace.Core;

namespace Millrace.History.Archive;

/// <summary>
/// How a payload said its time. Where the member's text is exactly what the reading's event time gives in one of these forms, the column
/// <c>time_as</c> keeps the form in place of the text (docs/formats/history.md). Codes never change their meaning.
/// </summary>
internal static class TimeForm
{
    public const string ColumnName = "time_as";

    /// <summary>The longest member: name, colon and <c>"2026-03-01T00:00:00.000000Z"</c>.</summary>
    public const int MemberBytesMax = 48;

    /// <summary>Members that may say the time.</summary>
    public static string[] MemberNames { get; } = ["time", "timestamp", "ts"];

    private static readonly string[] Forms = ["iso", "iso3", "iso6", "s", "ms"];
    private static readonly byte[][] Names = [.. MemberNames.Select(member => Encoding.UTF8.GetBytes($"\"{member}\":"))];

    /// <summary>All that the column may hold: member and form.</summary>
    public static byte[][] Codes { get; } =
        [.. MemberNames.SelectMany(member => Forms.Select(form => Encoding.UTF8.GetBytes($"{member} {form}")))];

    /// <summary>The number of a member among those that may say the time; -1 for another.</summary>
    public static int MemberOf(string name) => Array.IndexOf(MemberNames, name);

    /// <summary>The number of the code by which a value, as it stands with its quotes, comes back from the time; -1 when none does.</summary>
    public static int Find(int member, ReadOnlySpan<byte> value, long time)
    {
        var form = value.Length switch
        {
            22 => 0,
            26 => 1,
            29 => 2,
            10 => 3,
            13 => 4,
            _ => -1,
        };
        if (form < 0)
            return -1;

        Span<byte> text = stackalloc byte[32];
        var length = Write(form, time, text);
        return length > 0 && value.SequenceEqual(text[..length]) ? (member * Forms.Length) + form : -1;
    }

    /// <summary>Writes the member that a code stands for, name and value; 0 when the code is unknown.</summary>
    public static int WriteMember(ReadOnlySpan<byte> code, long time, Span<byte> target)
    {
        for (var i = 0; i < Codes.Length; i++)
        {
            if (!code.SequenceEqual(Codes[i]))
                continue;
            var name = Names[i / Forms.Length];
            name.CopyTo(target);
            return name.Length + Write(i % Forms.Length, time, target[name.Length..]);
        }

        return 0;
    }

    /// <summary>Writes the value that a code stands for where it is that of a member; 0 when it is another's, or unknown.</summary>
    public static int WriteValue(ReadOnlySpan<byte> code, int member, long time, Span<byte> target)
    {
        for (var form = 0; form < Forms.Length; form++)
        {
            if (code.SequenceEqual(Codes[(member * Forms.Length) + form]))
                return Write(form, time, target);
        }

        return 0;
    }

    private static int Write(int form, long time, Span<byte> target)
    {
        var unit = form switch
        {
            0 or 3 => Micros.PerSecond,
            1 or 4 => 1000,
            _ => 1,
        };
        if (time < 0 || time > Micros.Max || time % unit != 0)
            return 0;

        if (form >= 3)
        {
            (time / unit).TryFormat(target, out var digits, default, CultureInfo.InvariantCulture);
            return digits;
        }

        var at = Micros.ToDateTime(time);
        "\"0000-00-00T00:00:00"u8.CopyTo(target);
        Digits(target[1..5], at.Year);
        Digits(target[6..8], at.Month);
        Digits(target[9..11], at.Day);
        Digits(target[12..14], at.Hour);
        Digits(target[15..17], at.Minute);
        Digits(target[18..20], at.Second);
        var length = 20;
        if (form > 0)
        {
            target[length] = (byte)'.';
            Digits(target.Slice(length + 1, form * 3), (int)(time % Micros.PerSecond / unit));
            length += 1 + (form * 3);
        }

        "Z\""u8.CopyTo(target[length..]);
        return length + 2;
    }

    private static void Digits(Span<byte> target, int value)
    {
        for (var i = target.Length - 1; i >= 0; i--)
        {
            target[i] = (byte)('0' + (value % 10));
            value /= 10;
        }
    }
}
