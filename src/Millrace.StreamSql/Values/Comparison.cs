using System.Runtime.CompilerServices;

namespace Millrace.StreamSql.Values;

/// <summary>How values compare, in conditions (NULL when they cannot be brought together) and in rankings (always).</summary>
internal static class Comparison
{
    /// <summary>Compares for a condition; false means unknown.</summary>
    public static bool TryCompare(in Value a, in Value b, out int order)
    {
        order = 0;
        if (a.Kind <= Kind.Null || b.Kind <= Kind.Null)
            return false;

        if (a.IsText && b.IsText)
        {
            order = Conversion.TextBytes(a).SequenceCompareTo(Conversion.TextBytes(b));
            return true;
        }

        if (IsNumeric(a.Kind) || IsNumeric(b.Kind))
        {
            if (!Conversion.TryToNumber(a, out var x) || !Conversion.TryToNumber(b, out var y))
                return false;
            order = CompareNumbers(x, y);
            return true;
        }

        if (a.Kind == Kind.Datetime || b.Kind == Kind.Datetime)
        {
            if (!Conversion.TryToTicks(a, out var x) || !Conversion.TryToTicks(b, out var y))
                return false;
            order = x.CompareTo(y);
            return true;
        }

        return false;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool IsNumeric(Kind kind) => kind is Kind.Bigint or Kind.Float or Kind.NumberText or Kind.Bit;

    /// <summary>Compares two values of kind bigint or float exactly, also where a bigint has more digits than a double.</summary>
    public static int CompareNumbers(in Value a, in Value b)
    {
        if (a.Kind == Kind.Bigint)
            return b.Kind == Kind.Bigint ? a.Bits.CompareTo(b.Bits) : CompareMixed(a.Bits, b.Double);
        return b.Kind == Kind.Bigint ? -CompareMixed(b.Bits, a.Double) : a.Double.CompareTo(b.Double);
    }

    private static int CompareMixed(long a, double b)
    {
        if (b >= 9223372036854775808.0)
            return -1;
        if (b < -9223372036854775808.0)
            return 1;
        var whole = Math.Floor(b);
        var order = a.CompareTo((long)whole);
        return order != 0 ? order : whole < b ? -1 : 0;
    }

    /// <summary>Total order for MIN, MAX and rankings: NULL, numbers and bits, datetimes, strings, records, arrays.</summary>
    public static int Rank(in Value a, in Value b)
    {
        var rank = RankOf(a.Kind);
        var order = rank.CompareTo(RankOf(b.Kind));
        if (order != 0)
            return order;
        switch (rank)
        {
            case 0:
                return 0;
            case 1:
                return Conversion.TryToNumber(a, out var x) && Conversion.TryToNumber(b, out var y) ? CompareNumbers(x, y) : 0;
            case 2:
                return a.Bits.CompareTo(b.Bits);
            case 3:
                return Conversion.TextBytes(a).SequenceCompareTo(Conversion.TextBytes(b));
            default:
                return a.Span.SequenceCompareTo(b.Span);
        }
    }

    private static int RankOf(Kind kind) => kind switch
    {
        Kind.Missing or Kind.Null => 0,
        Kind.Bit or Kind.Bigint or Kind.Float or Kind.NumberText => 1,
        Kind.Datetime => 2,
        Kind.Text or Kind.EscapedText => 3,
        Kind.Record => 4,
        _ => 5,
    };
}
