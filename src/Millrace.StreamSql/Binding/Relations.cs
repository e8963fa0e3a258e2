using System.Text;
using Millrace.StreamSql.Expressions;
using Millrace.StreamSql.Json;
using Millrace.StreamSql.Operators;
using Millrace.StreamSql.Syntax;
using Millrace.StreamSql.Values;

namespace Millrace.StreamSql.Binding;

internal enum Presence
{
    No,
    Maybe,
    Yes,
}

/// <summary>
/// Something a SELECT can read. Columns come into being when somebody asks for them: an input extracts only the paths that
/// some query names, a step with a star hands through only what is used of it.
/// </summary>
internal abstract class Relation
{
    /// <summary>Whether rows have a field or column of this name.</summary>
    public abstract Presence Has(string name);

    /// <summary>The value at a path below a row of source <paramref name="source"/>.</summary>
    public abstract Node Path(int source, ReadOnlySpan<PathPart> parts);

    /// <summary>What a star stands for.</summary>
    public abstract List<ResultColumn> Star(int source);

    /// <summary>Columns of a row, once everything is bound.</summary>
    public abstract int ColumnCount { get; }

    protected static Node Walk(Node node, ReadOnlySpan<PathPart> parts)
    {
        foreach (var part in parts)
            node = new FieldNode(node, Encoding.UTF8.GetBytes(part.Name));
        return node;
    }
}

/// <summary>A column of a result, or the fields of a record that a star hands through (no name).</summary>
internal sealed class ResultColumn(string? name, Node node)
{
    public string? Name { get; } = name;

    public Node Node { get; } = node;

    /// <summary>For a star: resolves a path inside the record without building the record.</summary>
    public Func<PathPart[], Node>? Inner { get; init; }

    /// <summary>For a star: whether the record has a field.</summary>
    public Func<string, Presence>? InnerHas { get; init; }

    /// <summary>Where the value lies in the result row; −1 until somebody needs it.</summary>
    public int Slot { get; set; } = -1;

    public int Position { get; init; }
}

internal enum SystemField
{
    EnqueuedTime,
    Partition,
    Device,
    DeviceAsId,
}

/// <summary>Events of one input, with what is read of them.</summary>
internal sealed class InputPlan(string name, int index)
{
    public string Name { get; } = name;

    public int Index { get; } = index;

    public PathTree Paths { get; } = new();

    public List<StreamRelation> Streams { get; } = [];

    public List<(int Slot, SystemField Field)> SystemSlots { get; } = [];

    /// <summary>CREATE TABLE: slots that are converted when an event is read.</summary>
    public List<(int Slot, SqlTypeName Type, string Name)> Declared { get; } = [];

    /// <summary>Slot of the event as a whole, −1 when no query needs it.</summary>
    public int WholeSlot { get; private set; } = -1;

    public int IdSlot { get; private set; } = -1;

    public int SlotOf(ReadOnlySpan<PathPart> parts, bool addsDeviceId)
    {
        var names = new string[parts.Length];
        for (var index = 0; index < names.Length; index++)
            names[index] = parts[index].Name;
        var slot = Paths.Add(names);
        if (names.Length == 0 && WholeSlot < 0)
        {
            WholeSlot = slot;
            if (addsDeviceId)
                IdSlot = SlotOf([new PathPart("id", 0)], addsDeviceId);
        }
        else if (SystemFieldOf(names, addsDeviceId) is { } field && !SystemSlots.Any(s => s.Slot == slot))
        {
            SystemSlots.Add((slot, field));
        }

        return slot;
    }

    private static SystemField? SystemFieldOf(string[] names, bool addsDeviceId)
    {
        if (names.Length == 2 && Same(names[0], "IoTHub") && Same(names[1], "ConnectionDeviceId"))
            return SystemField.Device;
        if (names.Length != 1)
            return null;
        if (Same(names[0], "EventEnqueuedUtcTime"))
            return SystemField.EnqueuedTime;
        if (Same(names[0], "PartitionId"))
            return SystemField.Partition;
        return addsDeviceId && Same(names[0], "id") ? SystemField.DeviceAsId : null;
    }

    private static bool Same(string a, string b) => a.Equals(b, StringComparison.OrdinalIgnoreCase);
}

/// <summary>An input as one TIMESTAMP BY orders it. The same input with another TIMESTAMP BY is another stream.</summary>
internal sealed class StreamRelation(InputPlan input, bool addsDeviceId) : Relation
{
    public InputPlan Input { get; } = input;

    public Node? TimestampBy { get; set; }

    public Node[] Over { get; set; } = [];

    public string Text { get; set; } = "";

    /// <summary>The SELECTs that read the stream.</summary>
    public List<QueryIdentity> Readers { get; } = [];

    public override int ColumnCount => Input.Paths.SlotCount;

    public override Presence Has(string name) => Presence.Maybe;

    public override Node Path(int source, ReadOnlySpan<PathPart> parts)
        => new ColumnNode(source, Input.SlotOf(parts, addsDeviceId));

    public override List<ResultColumn> Star(int source) =>
    [
        new ResultColumn(null, new ColumnNode(source, Input.SlotOf([], addsDeviceId)))
        {
            Inner = parts => Path(source, parts),
            InnerHas = Has,
        },
    ];
}

/// <summary>A reference input.</summary>
internal sealed class ReferenceRelation(string name) : Relation
{
    public string Name { get; } = name;

    public PathTree Paths { get; } = new();

    public override int ColumnCount => Paths.SlotCount;

    public override Presence Has(string name) => Presence.Maybe;

    public override Node Path(int source, ReadOnlySpan<PathPart> parts)
    {
        var names = new string[parts.Length];
        for (var index = 0; index < names.Length; index++)
            names[index] = parts[index].Name;
        return new ColumnNode(source, Paths.Add(names));
    }

    public override List<ResultColumn> Star(int source) =>
    [
        new ResultColumn(null, new ColumnNode(source, Paths.Add([]))) { Inner = parts => Path(source, parts), InnerHas = Has },
    ];
}

/// <summary>What APPLY makes: index and value, or name and value.</summary>
internal sealed class ApplyRelation(bool elements) : Relation
{
    private readonly string[] names = elements ? ["ArrayIndex", "ArrayValue"] : ["PropertyName", "PropertyValue"];

    public override int ColumnCount => 2;

    public override Presence Has(string name) => IndexOf(name) >= 0 ? Presence.Yes : Presence.No;

    private int IndexOf(string name) => Array.FindIndex(names, n => n.Equals(name, StringComparison.OrdinalIgnoreCase));

    public override Node Path(int source, ReadOnlySpan<PathPart> parts)
    {
        var index = parts.Length == 0 ? -1 : IndexOf(parts[0].Name);
        return index < 0 ? ConstantNode.Null : Walk(new ColumnNode(source, index), parts[1..]);
    }

    public override List<ResultColumn> Star(int source)
        => [new ResultColumn(names[0], new ColumnNode(source, 0)), new ResultColumn(names[1], new ColumnNode(source, 1))];
}

/// <summary>Result of a SELECT, as a step or on its way to an output.</summary>
internal sealed class SelectRelation : Relation
{
    private readonly List<Node> columns = [];

    /// <summary>Columns in the order of the SELECT list; of equal names only the last is there.</summary>
    public List<ResultColumn> Results { get; } = [];

    public IReadOnlyList<Node> Columns => columns;

    public bool HasStar => Results.Exists(r => r.Name is null);

    public override int ColumnCount => columns.Count;

    public int AddColumn(Node node)
    {
        columns.Add(node);
        return columns.Count - 1;
    }

    public int SlotOf(ResultColumn column)
    {
        if (column.Slot < 0)
            column.Slot = AddColumn(column.Node);
        return column.Slot;
    }

    public override Presence Has(string name)
    {
        var result = Presence.No;
        foreach (var column in Results)
        {
            if (column.Name is null)
                result = Presence.Maybe;
            else if (column.Name.Equals(name, StringComparison.OrdinalIgnoreCase))
                return Presence.Yes;
        }

        return result;
    }

    public override Node Path(int source, ReadOnlySpan<PathPart> parts)
    {
        var wanted = parts.ToArray();
        Node result = new ConstantNode(default);
        foreach (var column in Results)
        {
            // Later columns win: each is put in front of what the earlier ones gave.
            if (column.Name is null)
            {
                var present = new ColumnNode(source, AddColumn(column.Inner!([wanted[0]])));
                var value = wanted.Length == 1 ? present : new ColumnNode(source, AddColumn(column.Inner(wanted)));
                result = result is ConstantNode && wanted.Length == 1 ? present : new FirstPresentNode(present, value, result);
            }
            else if (column.Name.Equals(wanted[0].Name, StringComparison.OrdinalIgnoreCase))
            {
                result = Walk(new PresentNode(new ColumnNode(source, SlotOf(column))), wanted.AsSpan(1));
            }
        }

        return result;
    }

    public override List<ResultColumn> Star(int source)
    {
        var result = new List<ResultColumn>();
        foreach (var column in Results)
        {
            result.Add(new ResultColumn(column.Name, new ColumnNode(source, SlotOf(column)))
            {
                Inner = column.Inner is null ? null : parts => new ColumnNode(source, AddColumn(column.Inner(parts))),
                InnerHas = column.InnerHas,
            });
        }

        return result;
    }
}

/// <summary>UNION of several SELECTs.</summary>
internal sealed class UnionRelation(SelectRelation[] branches) : Relation
{
    private readonly List<Node[]> columns = [];
    private readonly Dictionary<string, int> named = new(StringComparer.OrdinalIgnoreCase);
    private readonly bool isFixed = !branches.Any(b => b.HasStar);
    private int whole = -1;

    public SelectRelation[] Branches => branches;

    public override int ColumnCount => columns.Count;

    /// <summary>Per branch, the union's columns over the branch's row.</summary>
    public Node[][] ColumnsByBranch()
    {
        var result = new Node[branches.Length][];
        for (var branch = 0; branch < branches.Length; branch++)
            result[branch] = [.. columns.Select(c => c[branch])];
        return result;
    }

    public override Presence Has(string name)
    {
        if (isFixed)
            return branches[0].Has(name);
        return branches.Any(b => b.Has(name) != Presence.No) ? Presence.Maybe : Presence.No;
    }

    private int ColumnOf(ReadOnlySpan<PathPart> parts)
    {
        var text = string.Join('\u0001', parts.ToArray().Select(p => p.Name));
        if (named.TryGetValue(text, out var slot))
            return slot;
        var path = parts.ToArray();
        columns.Add([.. branches.Select(b => b.Path(0, path))]);
        named.Add(text, columns.Count - 1);
        return columns.Count - 1;
    }

    public override Node Path(int source, ReadOnlySpan<PathPart> parts)
        => isFixed && parts.Length > 0
            ? Walk(new ColumnNode(source, ColumnOf(parts[..1])), parts[1..])
            : new ColumnNode(source, ColumnOf(parts));

    public override List<ResultColumn> Star(int source)
    {
        if (isFixed)
        {
            return
            [
                .. branches[0].Results.Select(r => new ResultColumn(r.Name, new ColumnNode(source, ColumnOf([new PathPart(r.Name!, 0)])))),
            ];
        }

        if (whole < 0)
        {
            columns.Add([.. branches.Select(b => ResultShape.Record(b.Star(0)))]);
            whole = columns.Count - 1;
        }

        return
        [
            new ResultColumn(null, new ColumnNode(source, whole)) { Inner = parts => Path(source, parts), InnerHas = Has },
        ];
    }
}

/// <summary>Turns result columns into what is written: of equal names the last wins.</summary>
internal static class ResultShape
{
    public static OutputItem[] Items(List<ResultColumn> columns)
    {
        var items = new OutputItem[columns.Count];
        for (var index = 0; index < items.Length; index++)
            items[index] = new OutputItem(columns[index].Name, columns[index].Node);
        for (var index = 0; index < items.Length; index++)
        {
            var later = items.AsSpan(index + 1).ToArray();
            items[index].LaterSpreads = [.. later.Where(i => i.Name is null).Select(i => i.Node)];
            if (items[index].Name is null)
                items[index].Except = [.. later.Where(i => i.Name is not null).Select(i => Encoding.UTF8.GetBytes(i.Name!))];
        }

        return items;
    }

    /// <summary>A whole row as one record.</summary>
    public static Node Record(List<ResultColumn> columns)
        => columns is [{ Name: null } only] ? only.Node : new RecordNode(Items(columns));
}
