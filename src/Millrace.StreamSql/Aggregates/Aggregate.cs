using Millrace.StreamSql.Expressions;
using Millrace.StreamSql.State;
using Millrace.StreamSql.Values;

namespace Millrace.StreamSql.Aggregates;

/// <summary>
/// One aggregate of a query. Its accumulator is some words and references inside a <see cref="GroupTable"/>; all zero and
/// null means "no rows yet". An aggregate must be able to merge a later accumulator into an earlier one.
/// </summary>
internal abstract class Aggregate
{
    /// <summary>Expressions over the input row; evaluated before any aggregate sees the row.</summary>
    public required Node[] Arguments { get; init; }

    /// <summary>Index of the first argument's value in the row's argument array.</summary>
    public int FirstArgument { get; set; }

    public int FirstWord { get; set; }

    public int FirstReference { get; set; }

    public abstract int Words { get; }

    public virtual int References => 0;

    /// <summary>The accumulator does not grow with the number of rows.</summary>
    public virtual bool IsConstantSize => true;

    /// <summary>
    /// Whether adding a row needs the references; while none has, an aggregate is given no references at all.
    /// </summary>
    public virtual bool NeedsReferences(ReadOnlySpan<Value> arguments) => References > 0;

    public abstract void Add(Span<ulong> words, Span<object?> references, ReadOnlySpan<Value> arguments);

    public abstract void Merge(Span<ulong> words, Span<object?> references, ReadOnlySpan<ulong> laterWords, ReadOnlySpan<object?> later);

    public abstract void Result(ReadOnlySpan<ulong> words, ReadOnlySpan<object?> references, Frame frame, out Value result);

    public virtual void Save(StateWriter writer, ReadOnlySpan<object?> references)
    {
    }

    public virtual void Load(StateReader reader, Span<object?> references)
    {
    }

    public virtual long HeldBytes(ReadOnlySpan<object?> references) => 0;
}

/// <summary>All aggregates of a query: lays out their accumulators side by side.</summary>
internal sealed class AggregateSet
{
    private readonly Aggregate[] all;
    private readonly Aggregate[] referring;

    public AggregateSet(Aggregate[] all)
    {
        this.all = all;
        referring = Array.FindAll(all, a => a.References > 0);
        foreach (var aggregate in all)
        {
            aggregate.FirstWord = Words;
            aggregate.FirstReference = References;
            aggregate.FirstArgument = ArgumentCount;
            Words += aggregate.Words;
            References += aggregate.References;
            ArgumentCount += aggregate.Arguments.Length;
            IsConstantSize &= aggregate.IsConstantSize;
            CountsRows &= aggregate is CountAggregate { Arguments.Length: 0 };
        }

        Words = Math.Max(Words, 1);
    }

    public int Words { get; }

    public int References { get; }

    public int ArgumentCount { get; }

    public int Count => all.Length;

    public bool IsConstantSize { get; } = true;

    /// <summary>Every aggregate is COUNT(*): the number of rows says all.</summary>
    public bool CountsRows { get; } = true;

    public void EvaluateArguments(Frame frame, Value[] target)
    {
        foreach (var aggregate in all)
        {
            var index = aggregate.FirstArgument;
            foreach (var argument in aggregate.Arguments)
                argument.Evaluate(frame, out target[index++]);
        }
    }

    public bool NeedsReferences(ReadOnlySpan<Value> arguments)
    {
        foreach (var aggregate in referring)
        {
            if (aggregate.NeedsReferences(arguments.Slice(aggregate.FirstArgument, aggregate.Arguments.Length)))
                return true;
        }

        return false;
    }

    public void Add(Span<ulong> words, Span<object?> references, ReadOnlySpan<Value> arguments)
    {
        foreach (var aggregate in all)
        {
            // Direct calls for the usual aggregates: three kinds in turn are what a virtual call is slow at.
            switch (aggregate)
            {
                case CountAggregate { Arguments.Length: 0 }:
                    words[aggregate.FirstWord]++;
                    continue;
                case SumAggregate sum:
                    sum.Add(words.Slice(sum.FirstWord, SumAggregate.WordCount), [], arguments.Slice(sum.FirstArgument, 1));
                    continue;
                case ExtremeAggregate extreme:
                    extreme.Add(
                        words.Slice(extreme.FirstWord, ExtremeAggregate.WordCount),
                        references.IsEmpty ? [] : references.Slice(extreme.FirstReference, 1),
                        arguments.Slice(extreme.FirstArgument, 1));
                    continue;
                default:
                    break;
            }

            aggregate.Add(
                words.Slice(aggregate.FirstWord, aggregate.Words),
                aggregate.References == 0 || references.IsEmpty ? [] : references.Slice(aggregate.FirstReference, aggregate.References),
                arguments.Slice(aggregate.FirstArgument, aggregate.Arguments.Length));
        }
    }

    public void Merge(Span<ulong> words, Span<object?> references, ReadOnlySpan<ulong> laterWords, ReadOnlySpan<object?> later)
    {
        foreach (var aggregate in all)
        {
            aggregate.Merge(
                words.Slice(aggregate.FirstWord, aggregate.Words),
                aggregate.References == 0 || references.IsEmpty ? [] : references.Slice(aggregate.FirstReference, aggregate.References),
                laterWords.Slice(aggregate.FirstWord, aggregate.Words),
                aggregate.References == 0 || later.IsEmpty ? [] : later.Slice(aggregate.FirstReference, aggregate.References));
        }
    }

    public void Results(ReadOnlySpan<ulong> words, ReadOnlySpan<object?> references, Frame frame, Span<Value> target)
    {
        for (var index = 0; index < all.Length; index++)
        {
            var aggregate = all[index];
            aggregate.Result(
                words.Slice(aggregate.FirstWord, aggregate.Words),
                aggregate.References == 0 || references.IsEmpty ? [] : references.Slice(aggregate.FirstReference, aggregate.References),
                frame,
                out target[index]);
        }
    }

    public long HeldBytes(ReadOnlySpan<object?> references)
    {
        long held = 0;
        foreach (var aggregate in all)
        {
            if (aggregate.References > 0)
                held += aggregate.HeldBytes(references.Slice(aggregate.FirstReference, aggregate.References));
        }

        return held;
    }

    public void Save(StateWriter writer, ReadOnlySpan<ulong> words, ReadOnlySpan<object?> references)
    {
        foreach (var word in words)
            writer.Write(word);
        foreach (var aggregate in all)
        {
            if (aggregate.References > 0)
                aggregate.Save(writer, references.IsEmpty ? [] : references.Slice(aggregate.FirstReference, aggregate.References));
        }
    }

    public void Load(StateReader reader, Span<ulong> words, Span<object?> references)
    {
        for (var index = 0; index < words.Length; index++)
            words[index] = reader.ReadULong();
        foreach (var aggregate in all)
        {
            if (aggregate.References > 0)
                aggregate.Load(reader, references.Slice(aggregate.FirstReference, aggregate.References));
        }
    }
}
