using Millrace.StreamSql.Values;

namespace Millrace.StreamSql.Expressions;

/// <summary>Where a window's result stands among those of one time: by window, then by the bytes of its key.</summary>
internal readonly record struct ResultRank(int Window, byte[]? Key, int Offset, int Length)
{
    public ReadOnlySpan<byte> KeyBytes => new(Key, Offset, Length);
}

/// <summary>A row on its way between operators. Producers reuse theirs; whoever keeps one takes <see cref="Owned"/>.</summary>
internal sealed class Row
{
    /// <summary>Time of the empty row that stands for a source in which a left join found nothing.</summary>
    public const long NoTime = long.MinValue;

    /// <summary>Timestamp in ticks (100 ns).</summary>
    public long Time;

    /// <summary>Number of the event this row was made from, 0 when it was made from several.</summary>
    public long Event;

    public Value[] Columns;

    /// <summary>The rows a joined row consists of, one per source; null for a row of one source.</summary>
    public Row[]? Parts;

    /// <summary>Of a window's result, where somebody asks for it (<see cref="Operators.SelectOperator.KeepsRank"/>).</summary>
    public ResultRank Rank;

    /// <summary>The row as JSON, where it has been written beforehand; else missing.</summary>
    public Value Json;

    public Row(int columns) => Columns = columns == 0 ? [] : new Value[columns];

    /// <summary>A copy that shares nothing with reused buffers.</summary>
    public Row Owned()
    {
        var copy = new Row(0) { Time = Time, Event = Event };
        if (Rank.Key is not null)
            copy.Rank = new ResultRank(Rank.Window, Rank.KeyBytes.ToArray(), 0, Rank.Length);
        if (Parts is not null)
        {
            copy.Parts = new Row[Parts.Length];
            for (var index = 0; index < Parts.Length; index++)
                copy.Parts[index] = Parts[index].Owned();
            return copy;
        }

        copy.Columns = new Value[Columns.Length];
        var bytes = 0;
        foreach (ref var column in Columns.AsSpan())
            bytes += column.IsSlice ? column.Length : 0;
        var buffer = bytes == 0 ? [] : new byte[bytes];
        var used = 0;
        for (var index = 0; index < Columns.Length; index++)
        {
            ref var column = ref Columns[index];
            if (!column.IsSlice)
            {
                copy.Columns[index] = column;
                continue;
            }

            column.Span.CopyTo(buffer.AsSpan(used));
            copy.Columns[index] = Value.Slice(column.Kind, buffer, used, column.Length);
            used += column.Length;
        }

        return copy;
    }

    /// <summary>Rough bytes on the heap, for the memory estimate.</summary>
    public long HeldBytes()
    {
        long held = 64 + Columns.Length * 24L;
        foreach (ref var column in Columns.AsSpan())
            held += column.IsSlice ? column.Length : 0;
        if (Parts is not null)
        {
            foreach (var part in Parts)
                held += part.HeldBytes();
        }

        return held;
    }
}

/// <summary>How much expressions may make: what a query multiplies must not take the memory.</summary>
internal static class MadeBytes
{
    /// <summary>Longest text, in bytes of UTF-8.</summary>
    public const int TextMax = 16 * 1024 * 1024;

    /// <summary>Longest result row, and most that is made on the way to one.</summary>
    public const int RowMax = 4 * TextMax;

    public const string TextTooLong = "a text becomes longer than 16 MiB";

    private const int Small = 4096;

    private static long total;

    /// <summary>All that was made in this process, short texts left out: when it has grown, somebody's state may have.</summary>
    public static long Total => Volatile.Read(ref total);

    public static void Count(long bytes)
    {
        if (bytes >= Small)
            Interlocked.Add(ref total, bytes);
    }
}

/// <summary>What an expression sees: the rows of its sources, and where it reports that it cannot be evaluated.</summary>
internal sealed class Frame
{
    public Row[] Sources = [];

    /// <summary>System.Timestamp() in ticks.</summary>
    public long Time;

    private string? error;
    private long made;

    /// <summary>Why the row cannot be evaluated; the first reason stays. Setting it to null begins another evaluation.</summary>
    public string? Error
    {
        get => error;
        set
        {
            error = value;
            made = 0;
        }
    }

    public void Fail(string reason) => error ??= reason;

    /// <summary>Asked before a text is made; false, with a reason, when the text or all that the row has made is too long.</summary>
    public bool MayMakeText(long bytes)
    {
        if (bytes <= MadeBytes.TextMax)
            return MayMake(bytes);
        Fail(MadeBytes.TextTooLong);
        return false;
    }

    /// <summary>The same for records, arrays and whatever else has no limit of its own.</summary>
    public bool MayMake(long bytes)
    {
        made += bytes;
        if (made > MadeBytes.RowMax)
        {
            Fail("the texts, records and arrays made for one row become longer than 64 MiB");
            return false;
        }

        MadeBytes.Count(bytes);
        return true;
    }

    /// <summary>Whoever evaluates calls <see cref="ForgetNumber"/> with every row.</summary>
    public bool RemembersNumber { get; init; }

    // The number read last: AVG(x) and MAX(x) of one row ask for the same digits. Forgotten with the row.
    private byte[]? numberBuffer;
    private long numberBits;
    private Value number;

    public void ForgetNumber() => numberBuffer = null;

    /// <summary>Converts a value of kind <see cref="Kind.NumberText"/>.</summary>
    public bool TryReadNumber(in Value digits, out Value result)
    {
        if (ReferenceEquals(digits.Buffer, numberBuffer) && digits.Bits == numberBits)
        {
            result = number;
            return true;
        }

        if (!Numbers.TryParse(digits.Span, out result))
            return false;
        if (!RemembersNumber)
            return true;
        numberBuffer = digits.Buffer;
        numberBits = digits.Bits;
        number = result;
        return true;
    }
}

/// <summary>Three-valued truth.</summary>
internal enum Truth : byte
{
    False,
    True,
    Unknown,
}
