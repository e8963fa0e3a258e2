using System.Buffers.Binary;
using System.Numerics;
using Millrace.StreamSql.Aggregates;

namespace Millrace.StreamSql.Windows;

/// <summary>
/// The groups of a pane that takes no more rows, in order of their keys. The number of the group and each word of its
/// accumulator is a column of whole bytes, as wide as its largest value: counts and sums of floats shrink to a third.
/// </summary>
internal sealed class PackedPane(AggregateSet aggregates)
{
    /// <summary>Values are written and read eight bytes at a time.</summary>
    private const int PaddingBytes = 8;

    private readonly int[] widths = new int[1 + aggregates.Words];
    private int rowBytes;
    private byte[] bytes = [];
    private object?[] references = [];
    private int row;

    public long End { get; private set; }

    public int Count { get; private set; }

    public bool HasReferences { get; private set; }

    /// <summary>Number of the group at the cursor; −1 behind the last.</summary>
    public int Group { get; private set; }

    public long HeldBytes => bytes.Length + (references.Length * 8L);

    /// <summary>Starts anew; groups are then added in order of their keys.</summary>
    /// <param name="groups">How many will come.</param>
    /// <param name="highest">The highest number among them.</param>
    /// <param name="used">Per word of the accumulators, every bit that is set in one of them, as <see cref="Turned"/>.</param>
    public void Begin(long end, int groups, int highest, ReadOnlySpan<ulong> used, bool withReferences)
    {
        End = end;
        Count = 0;
        HasReferences = withReferences;
        rowBytes = 0;
        for (var column = 0; column < widths.Length; column++)
        {
            widths[column] = BytesOf(column == 0 ? (ulong)highest : used[column - 1]);
            rowBytes += widths[column];
        }

        var needed = (groups * rowBytes) + PaddingBytes;
        if (bytes.Length < needed || bytes.Length > needed * 2)
            bytes = new byte[needed + (needed / 32)];
        if (withReferences && references.Length < groups * aggregates.References)
            references = new object?[groups * aggregates.References];
    }

    private static int BytesOf(ulong value) => (71 - BitOperations.LeadingZeroCount(value)) / 8;

    /// <summary>A word with its highest bit as the lowest: there some aggregates keep a flag beside a count.</summary>
    public static ulong Turned(ulong word) => BitOperations.RotateLeft(word, 1);

    public void Add(int group, ReadOnlySpan<ulong> words, ReadOnlySpan<object?> groupReferences)
    {
        var target = bytes.AsSpan(Count * rowBytes);
        BinaryPrimitives.WriteUInt64LittleEndian(target, (ulong)group);
        for (var column = 1; column < widths.Length; column++)
        {
            // What is too much is written over by the next column.
            target = target[widths[column - 1]..];
            BinaryPrimitives.WriteUInt64LittleEndian(target, Turned(words[column - 1]));
        }

        if (HasReferences)
            groupReferences.CopyTo(references.AsSpan(Count * aggregates.References));
        Count++;
    }

    /// <summary>Puts the cursor on the first group.</summary>
    public void Rewind()
    {
        row = -1;
        MoveNext();
    }

    public void MoveNext() => Group = ++row < Count ? (int)Column(bytes.AsSpan(row * rowBytes), widths[0]) : -1;

    /// <summary>The accumulator at the cursor.</summary>
    public void Read(Span<ulong> words)
    {
        ReadOnlySpan<byte> source = bytes.AsSpan(row * rowBytes);
        for (var column = 1; column < widths.Length; column++)
        {
            source = source[widths[column - 1]..];
            words[column - 1] = BitOperations.RotateRight(Column(source, widths[column]), 1);
        }
    }

    private static ulong Column(ReadOnlySpan<byte> source, int width)
        => width == 0 ? 0 : BinaryPrimitives.ReadUInt64LittleEndian(source) << (64 - (width * 8)) >> (64 - (width * 8));

    /// <summary>The references at the cursor; none when no group has one.</summary>
    public ReadOnlySpan<object?> References
        => HasReferences ? references.AsSpan(row * aggregates.References, aggregates.References) : [];

    /// <summary>Gives every group its new number, which is never above the old one.</summary>
    public void Renumber(int[] numbers)
    {
        Span<byte> number = stackalloc byte[8];
        for (Rewind(); Group >= 0; MoveNext())
        {
            BinaryPrimitives.WriteUInt64LittleEndian(number, (ulong)numbers[Group]);
            number[..widths[0]].CopyTo(bytes.AsSpan(row * rowBytes));
        }
    }

    /// <summary>Forgets the groups and keeps the memory.</summary>
    public void Clear()
    {
        Array.Clear(references);
        Count = 0;
    }
}
