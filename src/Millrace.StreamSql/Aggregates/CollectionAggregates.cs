using System.Numerics;
using System.Runtime.InteropServices;
using Millrace.StreamSql.Expressions;
using Millrace.StreamSql.Json;
using Millrace.StreamSql.State;
using Millrace.StreamSql.Values;

namespace Millrace.StreamSql.Aggregates;

/// <summary>Base of aggregates that keep the values themselves, in event order.</summary>
internal abstract class ListAggregate : Aggregate
{
    public override int Words => 0;

    public override int References => 1;

    public override bool IsConstantSize => false;

    /// <summary>Values kept per row.</summary>
    protected virtual int Width => 1;

    protected virtual bool Keeps(ReadOnlySpan<Value> arguments) => true;

    public override void Add(Span<ulong> words, Span<object?> references, ReadOnlySpan<Value> arguments)
    {
        if (!Keeps(arguments))
            return;
        var list = (List<Value>?)references[0];
        references[0] = list ??= [];
        for (var index = 0; index < Width; index++)
            list.Add(arguments[index].Owned());
    }

    public override void Merge(Span<ulong> words, Span<object?> references, ReadOnlySpan<ulong> laterWords, ReadOnlySpan<object?> later)
    {
        if (later[0] is not List<Value> added)
            return;
        var list = (List<Value>?)references[0];
        references[0] = list ??= [];
        list.AddRange(added);
    }

    public override void Save(StateWriter writer, ReadOnlySpan<object?> references)
    {
        var list = (List<Value>?)references[0] ?? [];
        writer.Write(list.ToArray().AsSpan());
    }

    public override void Load(StateReader reader, Span<object?> references)
    {
        var values = reader.ReadValues();
        references[0] = values.Length == 0 ? null : new List<Value>(values);
    }

    public override long HeldBytes(ReadOnlySpan<object?> references)
    {
        if (references[0] is not List<Value> list)
            return 0;
        var held = 56 + (list.Capacity * 24L);
        foreach (var value in list)
            held += value.HeldBytes;
        return held;
    }

    protected static List<Value> Values(ReadOnlySpan<object?> references) => (List<Value>?)references[0] ?? [];
}

/// <summary>COLLECT: an array of the events, or of one expression, NULLs kept.</summary>
internal sealed class CollectAggregate : ListAggregate
{
    public override void Result(ReadOnlySpan<ulong> words, ReadOnlySpan<object?> references, Frame frame, out Value result)
    {
        var values = Values(references);
        result = Value.Null;
        long bytes = 0;
        foreach (ref readonly var value in CollectionsMarshal.AsSpan(values))
            bytes += value.IsSlice ? value.Length : 0;
        if (!frame.MayMake(bytes))
            return;
        var target = new JsonBuffer();
        target.Add((byte)'[');
        var first = true;
        foreach (var value in values)
        {
            if (!first)
                target.Add((byte)',');
            first = false;
            target.Add(value);
        }

        target.Add((byte)']');
        result = Value.OfBytes(Kind.Array, target.ToArray());
    }
}

/// <summary>STRING_AGG(x, separator).</summary>
internal sealed class StringAggregate : ListAggregate
{
    protected override int Width => 2;

    protected override bool Keeps(ReadOnlySpan<Value> arguments) => !arguments[0].IsNull;

    public override void Result(ReadOnlySpan<ulong> words, ReadOnlySpan<object?> references, Frame frame, out Value result)
    {
        var list = Values(references);
        if (list.Count == 0)
        {
            result = Value.Null;
            return;
        }

        result = Value.Null;
        var target = new JsonBuffer();
        for (var index = 0; index < list.Count; index += 2)
        {
            _ = Conversion.TryRead(list[index], out var read);
            var text = Conversion.ToText(read).Span;
            var separator = index > 0 && list[index + 1].IsText ? Conversion.TextBytes(list[index + 1]) : default;
            if (target.Length + (long)separator.Length + text.Length > MadeBytes.TextMax)
            {
                frame.Fail(MadeBytes.TextTooLong);
                return;
            }

            target.Add(separator);
            target.Add(text);
        }

        if (!frame.MayMakeText(target.Length))
            return;
        result = Value.OfBytes(Kind.Text, target.ToArray());
    }
}

/// <summary>PERCENTILE_CONT and PERCENTILE_DISC over the non-NULL values.</summary>
internal sealed class PercentileAggregate(double fraction, bool continuous, bool descending) : ListAggregate
{
    protected override bool Keeps(ReadOnlySpan<Value> arguments) => !arguments[0].IsNull;

    public override void Result(ReadOnlySpan<ulong> words, ReadOnlySpan<object?> references, Frame frame, out Value result)
    {
        var values = Values(references).ToArray();
        if (values.Length == 0)
        {
            result = Value.Null;
            return;
        }

        Array.Sort(values, (a, b) => descending ? Comparison.Rank(b, a) : Comparison.Rank(a, b));
        if (!continuous)
        {
            var place = Math.Max(1, (int)Math.Ceiling(fraction * values.Length));
            result = values[Math.Min(place, values.Length) - 1];
            return;
        }

        var position = fraction * (values.Length - 1);
        var below = (int)Math.Floor(position);
        var above = Math.Min(below + 1, values.Length - 1);
        var low = AsDouble(values[below]);
        var high = AsDouble(values[above]);
        result = Value.Of(low + ((high - low) * (position - below)));
    }

    private static double AsDouble(in Value value) => value.Kind == Kind.Bigint ? value.Bits : value.Double;
}

/// <summary>Any aggregate over distinct values: keeps their keys in order of first appearance.</summary>
internal sealed class DistinctAggregate(Aggregate inner) : Aggregate
{
    private readonly KeyWriter key = new();
    private readonly ulong[] innerWords = new ulong[inner.Words];
    private readonly object?[] innerReferences = new object?[inner.References];
    private readonly Value[] argument = new Value[1];

    public override int Words => 0;

    public override int References => 1;

    public override bool IsConstantSize => false;

    public override void Add(Span<ulong> words, Span<object?> references, ReadOnlySpan<Value> arguments)
    {
        if (arguments[0].IsNull)
            return;
        key.Clear();
        key.Add(arguments[0]);
        var keys = (KeyMap?)references[0];
        references[0] = keys ??= new KeyMap();
        keys.GetOrAdd(key.Key, KeyMap.HashOf(key.Key), out _);
    }

    public override void Merge(Span<ulong> words, Span<object?> references, ReadOnlySpan<ulong> laterWords, ReadOnlySpan<object?> later)
    {
        if (later[0] is not KeyMap added)
            return;
        var keys = (KeyMap?)references[0];
        references[0] = keys ??= new KeyMap();
        for (var index = 0; index < added.Count; index++)
            keys.GetOrAdd(added.KeyAt(index), KeyMap.HashOf(added.KeyAt(index)), out _);
    }

    public override void Result(ReadOnlySpan<ulong> words, ReadOnlySpan<object?> references, Frame frame, out Value result)
    {
        Array.Clear(innerWords);
        Array.Clear(innerReferences);
        if (references[0] is KeyMap keys)
        {
            for (var index = 0; index < keys.Count; index++)
            {
                var (bytes, offset) = keys.Locate(keys.PlaceOf(index));
                argument[0] = KeyWriter.Read(bytes, ref offset);
                inner.Add(innerWords, innerReferences, argument);
            }
        }

        inner.Result(innerWords, innerReferences, frame, out result);
    }

    public override void Save(StateWriter writer, ReadOnlySpan<object?> references)
    {
        var keys = (KeyMap?)references[0];
        writer.Write(keys?.Count ?? 0);
        for (var index = 0; index < (keys?.Count ?? 0); index++)
            writer.WriteBytes(keys!.KeyAt(index));
    }

    public override void Load(StateReader reader, Span<object?> references)
    {
        var count = reader.ReadCount();
        var keys = new KeyMap();
        for (var index = 0; index < count; index++)
        {
            var bytes = reader.ReadBytes();
            keys.GetOrAdd(bytes, KeyMap.HashOf(bytes), out _);
        }

        references[0] = count == 0 ? null : keys;
    }

    public override long HeldBytes(ReadOnlySpan<object?> references) => ((KeyMap?)references[0])?.HeldBytes ?? 0;
}

/// <summary>TopOne and CollectTop: the first n rows of a ranking, ties in event order, NULL smallest.</summary>
internal sealed class TopAggregate(long limit, bool[] descending, bool asArray) : Aggregate
{
    private sealed record Entry(Value[] Keys, Value Value);

    public override int Words => 0;

    public override int References => 1;

    public override bool IsConstantSize => limit <= 16;

    /// <summary>Arguments: the value, then the ranking's keys.</summary>
    public override void Add(Span<ulong> words, Span<object?> references, ReadOnlySpan<Value> arguments)
    {
        var list = (List<Entry>?)references[0];
        references[0] = list ??= [];
        if (list.Count == limit && Order(list[^1].Keys, arguments[1..]) <= 0)
            return;
        var keys = new Value[arguments.Length - 1];
        for (var index = 0; index < keys.Length; index++)
            keys[index] = arguments[index + 1].Owned();
        Insert(list, new Entry(keys, arguments[0].Owned()));
    }

    private void Insert(List<Entry> list, Entry entry)
    {
        var low = 0;
        var high = list.Count;
        while (low < high)
        {
            var middle = (low + high) / 2;
            if (Order(list[middle].Keys, entry.Keys) <= 0)
                low = middle + 1;
            else
                high = middle;
        }

        if (low >= limit)
            return;
        list.Insert(low, entry);
        if (list.Count > limit)
            list.RemoveAt(list.Count - 1);
    }

    private int Order(ReadOnlySpan<Value> a, ReadOnlySpan<Value> b)
    {
        for (var index = 0; index < a.Length; index++)
        {
            var order = Comparison.Rank(a[index], b[index]);
            if (order != 0)
                return descending[index] ? -order : order;
        }

        return 0;
    }

    public override void Merge(Span<ulong> words, Span<object?> references, ReadOnlySpan<ulong> laterWords, ReadOnlySpan<object?> later)
    {
        if (later[0] is not List<Entry> added)
            return;
        var list = (List<Entry>?)references[0];
        references[0] = list ??= [];
        foreach (var entry in added)
            Insert(list, entry);
    }

    public override void Result(ReadOnlySpan<ulong> words, ReadOnlySpan<object?> references, Frame frame, out Value result)
    {
        var list = (List<Entry>?)references[0] ?? [];
        if (!asArray)
        {
            result = list.Count == 0 ? Value.Null : list[0].Value;
            return;
        }

        result = Value.Null;
        if (!frame.MayMake(list.Sum(e => (long)e.Value.HeldBytes)))
            return;
        var target = new JsonBuffer();
        target.Add((byte)'[');
        for (var index = 0; index < list.Count; index++)
        {
            target.Add(index == 0 ? "{\"rank\":"u8 : ",{\"rank\":"u8);
            target.Add((long)index + 1);
            target.Add(",\"value\":"u8);
            target.Add(list[index].Value);
            target.Add((byte)'}');
        }

        target.Add((byte)']');
        result = Value.OfBytes(Kind.Array, target.ToArray());
    }

    public override void Save(StateWriter writer, ReadOnlySpan<object?> references)
    {
        var list = (List<Entry>?)references[0] ?? [];
        writer.Write(list.Count);
        foreach (var entry in list)
        {
            writer.Write(entry.Keys.AsSpan());
            writer.Write(entry.Value);
        }
    }

    public override void Load(StateReader reader, Span<object?> references)
    {
        var count = reader.ReadCount();
        var list = new List<Entry>(count);
        for (var index = 0; index < count; index++)
            list.Add(new Entry(reader.ReadValues(), reader.ReadValue()));
        references[0] = count == 0 ? null : list;
    }

    public override long HeldBytes(ReadOnlySpan<object?> references)
    {
        long held = 0;
        foreach (var entry in (List<Entry>?)references[0] ?? [])
        {
            held += 96 + (entry.Keys.Length * 24L) + entry.Value.HeldBytes;
            foreach (var key in entry.Keys)
                held += key.HeldBytes;
        }

        return held;
    }
}

/// <summary>
/// APPROX_COUNT_DISTINCT: exact up to 1000 values, then 65,536 registers of HyperLogLog (standard error 0.4 %), with
/// linear counting while many registers are empty.
/// </summary>
internal sealed class ApproximateCountAggregate : Aggregate
{
    private const int ExactMax = 1000;
    private const int IndexBits = 16;

    private readonly KeyWriter key = new();

    private sealed class Sketch
    {
        public HashSet<ulong>? Exact = [];
        public byte[] Registers = [];
    }

    public override int Words => 0;

    public override int References => 1;

    public override void Add(Span<ulong> words, Span<object?> references, ReadOnlySpan<Value> arguments)
    {
        if (arguments[0].IsNull)
            return;
        key.Clear();
        key.Add(arguments[0]);
        Add(SketchOf(references), KeyWriter.Hash(key.Key));
    }

    private static Sketch SketchOf(Span<object?> references)
    {
        var sketch = (Sketch?)references[0];
        references[0] = sketch ??= new Sketch();
        return sketch;
    }

    private static void Add(Sketch sketch, ulong hash)
    {
        if (sketch.Exact is not null)
        {
            sketch.Exact.Add(hash);
            if (sketch.Exact.Count > ExactMax)
                Spill(sketch);
            return;
        }

        ref var register = ref sketch.Registers[hash >> (64 - IndexBits)];
        register = Math.Max(register, (byte)(BitOperations.LeadingZeroCount((hash << IndexBits) | (1UL << (IndexBits - 1))) + 1));
    }

    private static void Spill(Sketch sketch)
    {
        var hashes = sketch.Exact!;
        sketch.Exact = null;
        sketch.Registers = new byte[1 << IndexBits];
        foreach (var hash in hashes)
            Add(sketch, hash);
    }

    public override void Merge(Span<ulong> words, Span<object?> references, ReadOnlySpan<ulong> laterWords, ReadOnlySpan<object?> later)
    {
        if (later[0] is not Sketch added)
            return;
        var sketch = SketchOf(references);
        if (added.Exact is not null)
        {
            foreach (var hash in added.Exact)
                Add(sketch, hash);
            return;
        }

        if (sketch.Exact is not null)
            Spill(sketch);
        for (var index = 0; index < sketch.Registers.Length; index++)
            sketch.Registers[index] = Math.Max(sketch.Registers[index], added.Registers[index]);
    }

    public override void Result(ReadOnlySpan<ulong> words, ReadOnlySpan<object?> references, Frame frame, out Value result)
    {
        var sketch = (Sketch?)references[0];
        result = Value.Of(sketch is null ? 0L : sketch.Exact?.Count ?? Estimate(sketch.Registers));
    }

    private static long Estimate(byte[] registers)
    {
        double sum = 0;
        var empty = 0;
        foreach (var register in registers)
        {
            sum += Math.ScaleB(1, -register);
            empty += register == 0 ? 1 : 0;
        }

        double size = registers.Length;
        var estimate = 0.7213 / (1 + (1.079 / size)) * size * size / sum;
        if (estimate <= 2.5 * size && empty > 0)
            estimate = size * Math.Log(size / empty);
        return (long)Math.Round(estimate);
    }

    public override void Save(StateWriter writer, ReadOnlySpan<object?> references)
    {
        var sketch = (Sketch?)references[0];
        ulong[] exact = [.. sketch?.Exact ?? []];
        Array.Sort(exact);
        writer.Write(exact.Length);
        foreach (var hash in exact)
            writer.Write(hash);
        writer.WriteBytes(sketch?.Registers);
    }

    public override void Load(StateReader reader, Span<object?> references)
    {
        var sketch = new Sketch();
        var count = reader.ReadCount();
        for (var index = 0; index < count; index++)
            sketch.Exact!.Add(reader.ReadULong());
        var registers = reader.ReadBytes();
        if (registers.Length > 0)
        {
            sketch.Exact = null;
            sketch.Registers = registers.Length == 1 << IndexBits ? registers : throw new InvalidDataException("the snapshot is damaged");
        }

        references[0] = sketch;
    }

    public override long HeldBytes(ReadOnlySpan<object?> references)
        => references[0] is Sketch sketch ? 64 + sketch.Registers.Length + ((sketch.Exact?.Count ?? 0) * 16L) : 0;
}
