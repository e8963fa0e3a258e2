using Millrace.StreamSql.Aggregates;
using Millrace.StreamSql.Expressions;
using Millrace.StreamSql.Json;
using Millrace.StreamSql.State;
using Millrace.StreamSql.Values;
using Millrace.StreamSql.Windows;

namespace Millrace.StreamSql.Operators;

/// <summary>One APPLY: an expression over the sources before it.</summary>
internal sealed record ApplyPlan(Node Argument, bool Outer, bool Elements);

internal enum WindowKind
{
    Tumbling,
    Hopping,
    Sliding,
    Session,
    Snapshot,
}

/// <summary>One window of a GROUP BY. Sizes in ticks.</summary>
internal sealed record WindowPlan(WindowKind Kind, long Size, long Step, long Offset, Value Id, Node[] SessionBy);

internal sealed class GroupPlan
{
    public required Node[] Keys { get; init; }

    public required WindowPlan[] Windows { get; init; }

    public required AggregateSet Aggregates { get; init; }

    /// <summary>Column of the window's id in a result row; the keys stand before it, the aggregates after.</summary>
    public int IdColumn => Keys.Length;
}

/// <summary>What a SELECT does with the rows of its sources.</summary>
internal sealed class SelectProgram
{
    /// <summary>Sources a row brings, before applies and analytic functions.</summary>
    public required int Sources { get; init; }

    public required ApplyPlan[] Applies { get; init; }

    public required AnalyticPlan[] Analytics { get; init; }

    public Node? Where { get; init; }

    public GroupPlan? Group { get; init; }

    public Node? Having { get; init; }

    public bool IsDistinct { get; init; }

    /// <summary>Columns of the result row.</summary>
    public required Node[] Columns { get; init; }

    /// <summary>Columns that DISTINCT compares.</summary>
    public int DistinctColumns { get; init; }
}

/// <summary>WHERE, analytic functions, GROUP BY, HAVING and projection of one SELECT. Hot.</summary>
internal sealed class SelectOperator : Operator, IWindowResults
{
    private const string RowTooLong = "a row becomes longer than 64 MiB";

    private readonly SelectProgram program;
    private readonly QueryIdentity query;
    private readonly IFailureSink failures;
    private readonly Frame frame = new() { RemembersNumber = true };
    private readonly Row result;
    private readonly Row[] parts;
    private readonly Analytic[] analytics;
    private readonly Row analyticRow;
    private readonly KeyWriter key = new();
    private readonly KeyWriter[] sessionKeys = [];
    private readonly KeyWriter distinctKey = new();
    private readonly HashSet<string> distinct = [];
    private readonly Value[] arguments = [];

    private readonly Window[] windows = [];
    private readonly Frame groupFrame = new() { Sources = new Row[1] };
    private readonly Row groupRow = new(0);
    private readonly List<Row>[] collected = [];
    private readonly List<PendingRow> pending = [];
    private readonly bool announcesGroup;
    private int currentWindow;
    private long distinctTime = long.MinValue;

    private sealed class PendingRow
    {
        public Value[] Columns = [];
        public byte[] Key = [];
        public byte[][] Sessions = [];
    }

    public SelectOperator(SelectProgram program, QueryIdentity query, IFailureSink failures, int partitions)
    {
        this.program = program;
        this.query = query;
        this.failures = failures;
        result = new Row(program.Columns.Length);
        analytics = [.. program.Analytics.Select(a => a.Create(partitions))];
        analyticRow = new Row(analytics.Length);
        parts = new Row[program.Sources + program.Applies.Length + (analytics.Length > 0 ? 1 : 0)];
        frame.Sources = parts;
        for (var index = 0; index < program.Applies.Length; index++)
            parts[program.Sources + index] = new Row(2);
        if (analytics.Length > 0)
            parts[^1] = analyticRow;
        if (program.Group is { } group)
        {
            arguments = new Value[group.Aggregates.ArgumentCount];
            windows = [.. group.Windows.Select(w => NewWindow(w, group.Aggregates, partitions))];
            groupRow = new Row(group.IdColumn + 1 + group.Aggregates.Count);
            groupFrame.Sources[0] = groupRow;
            collected = [.. windows.Select(_ => new List<Row>())];
            sessionKeys = [.. windows.Select(_ => new KeyWriter())];
            announcesGroup = Array.Exists(windows, w => w.LooksAhead) && Array.TrueForAll(group.Keys, k => k is ColumnNode { Source: 0 });
        }
    }

    /// <summary>Rows come in order within each sub-stream only, so what can be forgotten is told by watermarks alone.</summary>
    public bool TakesRowsByKey { get; init; }

    /// <summary>Results of windows say where they stand among others of their time: they are merged with those of other shards.</summary>
    public bool KeepsRank { get; init; }

    public override bool UsesWatermarks => windows.Length > 0 || (TakesRowsByKey && analytics.Length > 0);

    public override long HeldBytes => windows.Sum(w => w.HeldBytes) + analytics.Sum(a => a.HeldBytes);

    /// <summary>Keys that are fields of the row cost little to read twice.</summary>
    public override bool LooksAhead => announcesGroup || Array.Exists(analytics, a => a.LooksAhead);

    public override void Announce(Row row)
    {
        parts[0] = row;
        foreach (var analytic in analytics)
            analytic.Announce(frame);
        if (!announcesGroup)
            return;
        WriteGroupKey();
        var hash = KeyMap.HashOf(key.Key);
        foreach (var window in windows)
            window.Announce(hash);
    }

    private Window NewWindow(WindowPlan plan, AggregateSet aggregates, int partitions) => plan.Kind switch
    {
        WindowKind.Tumbling => new TumblingWindow(aggregates, partitions, this, plan.Size, plan.Offset),
        WindowKind.Snapshot => new TumblingWindow(aggregates, partitions, this, 0, 0),
        WindowKind.Hopping => new HoppingWindow(aggregates, partitions, this, plan.Size, plan.Step, plan.Offset),
        WindowKind.Sliding when aggregates.CountsRows => new SlidingCountWindow(aggregates, partitions, this, plan.Size),
        WindowKind.Sliding => new SlidingWindow(aggregates, partitions, this, plan.Size),
        _ => new SessionWindow(aggregates, partitions, this, plan.Size, plan.Step),
    };

    public override void OnRow(int port, Row row)
    {
        if (windows.Length > 0)
            AdvanceWindows(row.Time);
        frame.Time = row.Time;
        frame.Error = null;
        frame.ForgetNumber();
        if (row.Parts is null)
            parts[0] = row;
        else
            row.Parts.CopyTo(parts, 0);

        if (program.Applies.Length > 0)
        {
            ApplyRow(row);
            return;
        }

        if (analytics.Length > 0 && !Analyse(row))
            return;
        if (program.Where is not null && program.Where.Test(frame) != Truth.True)
        {
            if (frame.Error is not null)
                failures.Fail(query, row, frame.Error);
            return;
        }

        if (frame.Error is not null)
        {
            failures.Fail(query, row, frame.Error);
        }
        else if (program.Group is not null)
        {
            EvaluateGroup();
            if (frame.Error is not null)
                failures.Fail(query, row, frame.Error);
            else
                AddToWindows(row.Time, key.Key, arguments, null);
        }
        else
        {
            Project(row);
        }
    }

    /// <summary>All functions see the row before any of them adds it, so a failing row leaves no trace in any history.</summary>
    private bool Analyse(Row row)
    {
        for (var index = 0; index < analytics.Length; index++)
            analytics[index].Evaluate(frame, out analyticRow.Columns[index]);
        if (frame.Error is not null)
        {
            failures.Fail(query, row, frame.Error);
            return false;
        }

        foreach (var analytic in analytics)
        {
            analytic.Commit(row.Time);
            if (!TakesRowsByKey)
                analytic.Sweep(row.Time);
        }

        return true;
    }

    private void Project(Row row)
    {
        EvaluateColumns(frame);
        if (frame.Error is not null)
        {
            failures.Fail(query, row, frame.Error);
            return;
        }

        result.Time = row.Time;
        result.Event = row.Event;
        result.Rank = row.Rank;
        EmitResult();
    }

    /// <summary>Most columns are copied from a source.</summary>
    private void EvaluateColumns(Frame from)
    {
        var columns = program.Columns;
        var target = result.Columns;
        long bytes = 0;
        for (var index = 0; index < columns.Length; index++)
        {
            if (columns[index] is ColumnNode column)
                target[index] = from.Sources[column.Source].Columns[column.Column];
            else
                columns[index].Evaluate(from, out target[index]);
            if (target[index].IsSlice)
                bytes += target[index].Length;
        }

        if (bytes > MadeBytes.RowMax)
            from.Fail(RowTooLong);
    }

    private void EmitResult()
    {
        if (program.IsDistinct && !IsNew())
            return;
        Emit(result);
    }

    /// <summary>DISTINCT removes repetitions among results with equal timestamps.</summary>
    private bool IsNew()
    {
        if (distinctTime != result.Time)
        {
            distinct.Clear();
            distinctTime = result.Time;
        }

        distinctKey.Clear();
        for (var index = 0; index < program.DistinctColumns; index++)
            distinctKey.Add(result.Columns[index]);
        return distinct.Add(System.Text.Encoding.Latin1.GetString(distinctKey.Key));
    }

    private void EvaluateGroup()
    {
        var group = program.Group!;
        WriteGroupKey();
        group.Aggregates.EvaluateArguments(frame, arguments);
        for (var index = 0; index < sessionKeys.Length; index++)
        {
            sessionKeys[index].Clear();
            foreach (var node in group.Windows[index].SessionBy)
            {
                node.Evaluate(frame, out var value);
                sessionKeys[index].Add(value);
            }
        }
    }

    private void WriteGroupKey()
    {
        key.Clear();
        foreach (var node in program.Group!.Keys)
        {
            node.Evaluate(frame, out var value);
            key.Add(value);
        }
    }

    /// <summary>Session keys by window; null: those of the row evaluated last.</summary>
    private void AddToWindows(long time, ReadOnlySpan<byte> group, Value[] values, byte[][]? sessions)
    {
        var hash = KeyMap.HashOf(group);
        for (var index = 0; index < windows.Length; index++)
            windows[index].Add(time, group, hash, values, sessions is null ? sessionKeys[index].Key : sessions[index]);
    }

    /// <summary>
    /// The rows that APPLY makes of one event count as one: all are evaluated before any has an effect, and one that fails
    /// takes the event with it.
    /// </summary>
    private void ApplyRow(Row row)
    {
        pending.Clear();
        Expand(0);
        if (frame.Error is not null)
        {
            failures.Fail(query, row, frame.Error);
            return;
        }

        foreach (var next in pending)
        {
            if (program.Group is not null)
            {
                AddToWindows(row.Time, next.Key, next.Columns, next.Sessions);
                continue;
            }

            next.Columns.CopyTo(result.Columns, 0);
            result.Time = row.Time;
            result.Event = row.Event;
            result.Rank = row.Rank;
            EmitResult();
        }
    }

    private void Expand(int index)
    {
        if (index == program.Applies.Length)
        {
            EvaluateApplied();
            return;
        }

        var apply = program.Applies[index];
        var part = parts[program.Sources + index];
        part.Time = frame.Time;
        apply.Argument.Evaluate(frame, out var value);
        if (frame.Error is not null)
            return;
        var any = false;
        if (apply.Elements && value.Kind == Kind.Array)
        {
            var elements = new ElementEnumerator(value);
            for (long number = 0; elements.MoveNext() && frame.Error is null; number++)
            {
                any = true;
                part.Columns[0] = Value.Of(number);
                part.Columns[1] = elements.Value;
                Expand(index + 1);
            }
        }
        else if (!apply.Elements && value.Kind == Kind.Record)
        {
            var fields = new FieldEnumerator(value);
            while (fields.MoveNext() && frame.Error is null)
            {
                any = true;
                part.Columns[0] = Value.OfBytes(Kind.Text, fields.Name.ToArray());
                part.Columns[1] = fields.Value;
                Expand(index + 1);
            }
        }

        if (any || !apply.Outer)
            return;
        part.Columns[0] = Value.Null;
        part.Columns[1] = Value.Null;
        Expand(index + 1);
    }

    private void EvaluateApplied()
    {
        if (program.Where is not null && program.Where.Test(frame) != Truth.True)
            return;
        if (frame.Error is not null)
            return;
        var row = new PendingRow();
        if (program.Group is not null)
        {
            EvaluateGroup();
            row.Columns = [.. arguments];
            row.Key = key.Key.ToArray();
            row.Sessions = [.. sessionKeys.Select(k => k.Key.ToArray())];
        }
        else
        {
            row.Columns = new Value[program.Columns.Length];
            long bytes = 0;
            for (var index = 0; index < row.Columns.Length; index++)
            {
                program.Columns[index].Evaluate(frame, out row.Columns[index]);
                if (row.Columns[index].IsSlice)
                    bytes += row.Columns[index].Length;
            }

            if (bytes > MadeBytes.RowMax)
                frame.Fail(RowTooLong);
        }

        pending.Add(row);
    }

    public override void OnWatermark(int port, long time)
    {
        if (windows.Length > 0)
            AdvanceWindows(time);
        if (TakesRowsByKey)
        {
            foreach (var analytic in analytics)
                analytic.Sweep(time);
        }

        Forward(time);
    }

    private void AdvanceWindows(long time)
    {
        for (currentWindow = 0; currentWindow < windows.Length; currentWindow++)
            windows[currentWindow].Advance(time);
        if (windows.Length == 1)
            return;

        // Results of several windows: by end, then in the order of the windows, then of the keys.
        var positions = new int[windows.Length];
        while (true)
        {
            var best = -1;
            for (var index = 0; index < windows.Length; index++)
            {
                if (positions[index] < collected[index].Count
                    && (best < 0 || collected[index][positions[index]].Time < collected[best][positions[best]].Time))
                    best = index;
            }

            if (best < 0)
                break;
            EmitGroup(collected[best][positions[best]++]);
        }

        foreach (var list in collected)
            list.Clear();
    }

    void IWindowResults.Emit(long end, byte[] key, int keyOffset, ReadOnlySpan<ulong> words, ReadOnlySpan<object?> references)
    {
        var group = program.Group!;
        var row = windows.Length == 1 ? groupRow : new Row(groupRow.Columns.Length);
        row.Time = end;
        var keyStart = keyOffset;
        for (var index = 0; index < group.Keys.Length; index++)
            row.Columns[index] = KeyWriter.Read(key, ref keyOffset);
        if (KeepsRank)
            row.Rank = new ResultRank(currentWindow, key, keyStart, keyOffset - keyStart);
        row.Columns[group.IdColumn] = group.Windows[currentWindow].Id;
        groupFrame.Error = null;
        group.Aggregates.Results(words, references, groupFrame, row.Columns.AsSpan(group.IdColumn + 1));
        if (groupFrame.Error is not null)
        {
            failures.Fail(query, row, groupFrame.Error);
            return;
        }

        if (windows.Length == 1)
            EmitGroup(row);
        else
            collected[currentWindow].Add(row.Owned());
    }

    private void EmitGroup(Row row)
    {
        groupFrame.Sources[0] = row;
        groupFrame.Time = row.Time;
        groupFrame.Error = null;
        if (program.Having is not null && program.Having.Test(groupFrame) != Truth.True)
        {
            if (groupFrame.Error is not null)
                failures.Fail(query, row, groupFrame.Error);
            return;
        }

        EvaluateColumns(groupFrame);
        if (groupFrame.Error is not null)
        {
            failures.Fail(query, row, groupFrame.Error);
            return;
        }

        result.Time = row.Time;
        result.Event = 0;
        result.Rank = row.Rank;
        EmitResult();
    }

    public override void Save(StateWriter writer)
    {
        foreach (var analytic in analytics)
            analytic.Save(writer);
        foreach (var window in windows)
            window.Save(writer);
        if (!program.IsDistinct)
            return;
        writer.Write(distinctTime);
        writer.Write(distinct.Count);
        foreach (var text in distinct)
            writer.WriteBytes(System.Text.Encoding.Latin1.GetBytes(text));
    }

    public override void Load(StateReader reader) => Load(reader, null);

    /// <summary>Adds what was saved to what is there; of keyed state only the wanted keys.</summary>
    /// <param name="filterOf">Gives the filter for state that is kept by a key; null: all is wanted.</param>
    public void Load(StateReader reader, Func<Node[], KeyFilter>? filterOf)
    {
        for (var index = 0; index < analytics.Length; index++)
        {
            reader.Filter = filterOf?.Invoke(program.Analytics[index].PartitionBy);
            analytics[index].Load(reader);
        }

        for (var index = 0; index < windows.Length; index++)
        {
            var plan = program.Group!.Windows[index];
            reader.Filter = filterOf?.Invoke(plan.Kind == WindowKind.Session ? plan.SessionBy : program.Group.Keys);
            windows[index].Load(reader);
        }

        reader.Filter = null;
        if (!program.IsDistinct)
            return;
        distinctTime = reader.ReadLong();
        var count = reader.ReadCount();
        for (var index = 0; index < count; index++)
            distinct.Add(System.Text.Encoding.Latin1.GetString(reader.ReadBytes()));
    }
}
