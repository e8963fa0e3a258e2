using Millrace.StreamSql.Binding;
using Millrace.StreamSql.Expressions;
using Millrace.StreamSql.Operators;
using Millrace.StreamSql.Values;

namespace Millrace.StreamSql.Spreading;

/// <summary>
/// Which SELECTs of a plan run in shards, and by which columns the rows of each stream are spread over them. A SELECT runs in
/// shards when it reads a stream, or a SELECT that does, treats rows one by one, and everything it remembers is kept by keys
/// among which are the columns by which the stream is spread. All others see the rows of all shards, merged again.
/// </summary>
internal sealed class SpreadPlan
{
    private readonly Dictionary<Relation, Member> members = [];
    private readonly Dictionary<StreamRelation, int[]> columns = [];

    private sealed record Member(SelectPlan Select, StreamRelation Root, bool IsGrouped);

    private SpreadPlan()
    {
    }

    public static SpreadPlan Of(ScriptPlan plan)
    {
        var result = new SpreadPlan();
        foreach (var select in plan.Selects)
            result.TryAdd(select);
        return result;
    }

    public bool IsSpread(SelectPlan select) => members.ContainsKey(select.Result);

    /// <summary>Whether rows of a spread SELECT are results of windows: they are merged by time and key, others in the order of the events.</summary>
    public bool IsGrouped(SelectPlan select) => members[select.Result].IsGrouped;

    /// <summary>The stream of which a spread SELECT's rows are made.</summary>
    public StreamRelation RootOf(SelectPlan select) => members[select.Result].Root;

    /// <summary>Whether any spread SELECT takes its rows from this stream.</summary>
    public bool Spreads(StreamRelation stream) => members.Values.Any(m => ReferenceEquals(m.Root, stream));

    /// <summary>Columns of a stream whose values decide the shard; empty: any shard will do.</summary>
    public int[] ColumnsOf(StreamRelation stream) => columns.GetValueOrDefault(stream, []);

    private void TryAdd(SelectPlan select)
    {
        var source = members.GetValueOrDefault(select.Source);
        var root = select.Source as StreamRelation ?? source?.Root;
        if (root is null || select.Match is not null || select.IsDistinct || select.Links.Exists(l => l is StreamLink))
            return;
        var keys = KeysOf(select).Select(k => ColumnsOf(k, select.Source)).ToList();
        if (columns.TryGetValue(root, out var before))
            keys.Add(before);
        if (keys.Count > 0)
        {
            var common = keys.Aggregate((a, b) => [.. a.Intersect(b)]);
            if (common.Length == 0)
                return;
            columns[root] = common;
        }

        members.Add(select.Result, new Member(select, root, select.Group is not null || source is { IsGrouped: true }));
    }

    /// <summary>Everything by which a SELECT keeps state.</summary>
    private static IEnumerable<Node[]> KeysOf(SelectPlan select)
    {
        foreach (var analytic in select.Analytics)
            yield return analytic.PartitionBy;
        if (select.Group is not { } group)
            yield break;
        yield return group.Keys;
        foreach (var window in group.Windows)
        {
            if (window.Kind == WindowKind.Session)
                yield return window.SessionBy;
        }
    }

    private int[] ColumnsOf(Node[] keys, Relation source) => [.. keys.Select(k => ColumnOf(k, source)).Where(c => c >= 0).Distinct()];

    /// <summary>The column of the stream that an expression hands through unchanged, −1 when it does not.</summary>
    private int ColumnOf(Node node, Relation source)
    {
        while (true)
        {
            if (node is PresentNode present)
                node = present.Value;
            if (node is not ColumnNode { Source: 0 } column)
                return -1;
            if (source is StreamRelation)
                return column.Column;
            if (!members.TryGetValue(source, out var member))
                return -1;
            node = member.Select.Result.Columns[column.Column];
            source = member.Select.Source;
            if (member.Select.Group is not { } group)
                continue;
            while (node is PresentNode inner)
                node = inner.Value;
            if (node is not ColumnNode { Source: 0 } result || result.Column >= group.Keys.Length)
                return -1;
            node = group.Keys[result.Column];
        }
    }

    /// <summary>Where in a key the columns stand by which the rows of its stream are spread, in their order.</summary>
    public int[] PositionsIn(Node[] key, SelectPlan select)
    {
        var wanted = ColumnsOf(members[select.Result].Root);
        return [.. wanted.Select(c => Array.FindIndex(key, k => ColumnOf(k, select.Source) == c))];
    }
}

/// <summary>
/// The hash that decides a row's shard: of the values of the columns by which its stream is spread, as keys encode them, so
/// that it can be had from a row and from any key that state is kept by.
/// </summary>
internal sealed class SpreadHash(int[] columns)
{
    private readonly KeyWriter key = new();

    public uint Of(Row row)
    {
        key.Clear();
        foreach (var column in columns)
            key.Add(row.Columns[column]);
        return Fold(key.Key);
    }

    /// <summary>Of a key, in which the values stand at these positions.</summary>
    public static uint Of(byte[] key, int[] positions)
    {
        Span<int> starts = stackalloc int[positions.Max() + 2];
        for (var index = 1; index < starts.Length; index++)
        {
            starts[index] = starts[index - 1];
            _ = KeyWriter.Read(key, ref starts[index]);
        }

        var parts = new List<byte>(key.Length);
        foreach (var position in positions)
            parts.AddRange(key.AsSpan(starts[position], starts[position + 1] - starts[position]));
        return Fold([.. parts]);
    }

    /// <summary>The half of the hash that tables of keys do not use: a shard's keys would crowd in a part of their slots.</summary>
    private static uint Fold(ReadOnlySpan<byte> key) => (uint)(KeyWriter.Hash(key) >> 32);
}
