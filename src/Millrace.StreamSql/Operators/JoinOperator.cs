using Millrace.StreamSql.Expressions;
using Millrace.StreamSql.State;
using Millrace.StreamSql.Values;

namespace Millrace.StreamSql.Operators;

/// <summary>low ≤ timestamp(right) − timestamp(left source) ≤ high, in ticks.</summary>
/// <param name="LeftSource">Among the sources of the left side.</param>
/// <param name="Low">Least distance.</param>
/// <param name="High">Greatest distance.</param>
/// <param name="Told">The upper bound as written, one tick above the greatest distance where it is strict: the time of unmatched rows.</param>
internal readonly record struct TimeBound(int LeftSource, long Low, long High, long Told);

/// <summary>Something in ON that reads one side only.</summary>
/// <param name="Node">Over that side's sources.</param>
/// <param name="IsCondition">One of those that ON joins by AND: a row for which it is false meets nobody, and the rest is not looked at.</param>
internal readonly record struct JoinCheck(Node Node, bool IsCondition)
{
    /// <summary>Evaluates all in their order; false when one fails, with the reason in the frame.</summary>
    public static bool TryAll(JoinCheck[] checks, Frame frame, out bool canMatch)
    {
        canMatch = true;
        frame.Error = null;
        foreach (var check in checks)
        {
            if (check.IsCondition)
                canMatch = check.Node.Test(frame) != Truth.False;
            else
                check.Node.Evaluate(frame, out _);
            if (!canMatch || frame.Error is not null)
                break;
        }

        return frame.Error is null;
    }
}

internal sealed class JoinPlan
{
    /// <summary>Sources of the left side's rows.</summary>
    public required int LeftSources { get; init; }

    public required bool IsLeftJoin { get; init; }

    public required TimeBound[] Bounds { get; init; }

    /// <summary>Longest time by which a left row's sources can lie apart: 0 for a row of one source.</summary>
    public required long LeftSpan { get; init; }

    /// <summary>left = right among the conditions: what rows are looked up by. Left nodes see the left sources only.</summary>
    public required (Node Left, Node Right)[] EqualKeys { get; init; }

    /// <summary>Evaluated when a row of the left side comes.</summary>
    public required JoinCheck[] LeftChecks { get; init; }

    /// <summary>Evaluated when a row of the right side comes.</summary>
    public required JoinCheck[] RightChecks { get; init; }

    public required Node On { get; init; }

    public int RightColumns { get; init; }
}

/// <summary>
/// Stream–stream join. Both sides come merged by time; each row meets the rows of the other side that are still in reach,
/// found by the values that ON demands to be equal. Results have the time of the later row, hence come in order.
/// </summary>
internal sealed class JoinOperator : MergingOperator
{
    private sealed class Kept
    {
        public required Row Row;
        public long Until;
        public bool Matched;
        public bool Expired;        // also of a left row that can match nobody and waits to be told
        public bool IsAwaitedOnly;
        public ulong Key;
    }

    private sealed class Side
    {
        public readonly Dictionary<ulong, List<Kept>> ByKey = [];
        public readonly PriorityQueue<Kept, (long Until, long Number)> Expiring = new();
        public long HeldBytes;
        public int Count;
    }

    private readonly JoinPlan plan;
    private readonly QueryIdentity query;
    private readonly IFailureSink failures;
    private readonly Side left = new();
    private readonly Side right = new();
    private readonly PriorityQueue<Kept, (long Time, long Number)> unmatched = new();
    private readonly Frame frame;
    private readonly Row result;
    private readonly Row noRight;
    private readonly List<Kept> matches = [];
    private long number;
    private long awaitedBytes;

    public JoinOperator(JoinPlan plan, QueryIdentity query, IFailureSink failures)
        : base(2, failures)
    {
        this.plan = plan;
        this.query = query;
        this.failures = failures;
        frame = new Frame { Sources = new Row[plan.LeftSources + 1] };
        result = new Row(0) { Parts = new Row[plan.LeftSources + 1] };
        noRight = new Row(plan.RightColumns) { Time = Row.NoTime };
    }

    public override long HeldBytes => base.HeldBytes + left.HeldBytes + right.HeldBytes + awaitedBytes;

    protected override void Process(int port, Row row)
    {
        EmitUnmatched(row.Time);
        if (port == 0)
            ProcessLeft(row);
        else
            ProcessRight(row);
    }

    private void SetLeft(Row row)
    {
        if (row.Parts is null)
            frame.Sources[0] = row;
        else
            row.Parts.CopyTo(frame.Sources, 0);
    }

    /// <summary>Time of one source of a row; the row's own where a left join found none.</summary>
    private static long TimeOf(Row row, int source)
        => row.Parts is null || row.Parts[source].Time == Row.NoTime ? row.Time : row.Parts[source].Time;

    private void ProcessLeft(Row row)
    {
        SetLeft(row);
        frame.Sources[^1] = noRight;
        if (!TryChecks(row, plan.LeftChecks, out var canMatch) || (!canMatch && !plan.IsLeftJoin))
            return;
        var key = KeyOf(leftSide: true);
        if (canMatch && right.ByKey.TryGetValue(key, out var candidates))
            Match(row, candidates, isLeft: true);
        var until = long.MaxValue;
        var silent = long.MaxValue;
        foreach (var bound in plan.Bounds)
        {
            var from = TimeOf(row, bound.LeftSource);
            until = Math.Min(until, Plus(from, bound.High));
            silent = Math.Min(silent, Plus(from, bound.Told));
        }

        silent = Math.Max(row.Time, silent);
        var matched = matches.Count > 0;
        EmitMatches(row, isLeft: true);
        if (!canMatch)
        {
            failures.Hold(row);
            Await(new Kept { Row = row.Owned(), Until = silent, Expired = true }, silent);
            return;
        }

        if (until < row.Time && (matched || !plan.IsLeftJoin))
            return;
        var kept = Keep(left, row, key, Math.Max(until, row.Time));
        kept.Matched = matched;
        if (plan.IsLeftJoin && !matched)
        {
            failures.Hold(row);
            Await(kept, silent);
        }
    }

    private void Await(Kept kept, long due)
    {
        unmatched.Enqueue(kept, (due, number++));
        kept.IsAwaitedOnly = kept.Expired;
        if (kept.IsAwaitedOnly)
            awaitedBytes += HeldBytesOf(kept);
    }

    private static long HeldBytesOf(Kept kept) => kept.Row.HeldBytes() + 120;

    private void ProcessRight(Row row)
    {
        frame.Sources[^1] = row;
        if (!TryChecks(row, plan.RightChecks, out var canMatch) || !canMatch)
            return;
        var key = KeyOf(leftSide: false);
        if (left.ByKey.TryGetValue(key, out var candidates))
            Match(row, candidates, isLeft: false);
        foreach (var match in matches)
        {
            if (plan.IsLeftJoin && !match.Matched)
                failures.Release(match.Row);
            match.Matched = true;
        }

        EmitMatches(row, isLeft: false);

        // A left row to come is at this time or later; its sources may be older by its span.
        var until = long.MinValue;
        foreach (var bound in plan.Bounds)
            until = Math.Max(until, Plus(row.Time, Plus(-bound.Low, plan.LeftSpan)));
        if (until >= row.Time)
            Keep(right, row, key, until);
    }

    private static long Plus(long a, long b)
    {
        var sum = unchecked(a + b);
        if (((a ^ sum) & (b ^ sum)) < 0)
            return a < 0 ? long.MinValue : long.MaxValue;
        return sum;
    }

    /// <summary>Evaluates what reads one side only; false when it fails, which makes the row a bad event that meets nobody.</summary>
    private bool TryChecks(Row row, JoinCheck[] checks, out bool canMatch)
    {
        frame.Time = row.Time;
        if (JoinCheck.TryAll(checks, frame, out canMatch))
            return true;
        failures.Fail(query, row, frame.Error!);
        return false;
    }

    /// <summary>Finds what fits. A pair for which the condition cannot be evaluated does not: it is counted for the new row.</summary>
    private void Match(Row row, List<Kept> candidates, bool isLeft)
    {
        matches.Clear();
        foreach (var candidate in candidates)
        {
            if (candidate.Expired || candidate.Until < row.Time)
                continue;
            if (isLeft)
            {
                frame.Sources[^1] = candidate.Row;
            }
            else
            {
                SetLeft(candidate.Row);
            }

            if (!IsInBounds())
                continue;
            frame.Time = Math.Max(row.Time, candidate.Row.Time);
            frame.Error = null;
            var truth = plan.On.Test(frame);
            if (frame.Error is not null)
                failures.Fail(query, row, frame.Error);
            else if (truth == Truth.True)
                matches.Add(candidate);
        }
    }

    private bool IsInBounds()
    {
        var time = frame.Sources[^1].Time;
        foreach (var bound in plan.Bounds)
        {
            var from = frame.Sources[bound.LeftSource].Time;
            if (from == Row.NoTime || time - from < bound.Low || time - from > bound.High)
                return false;
        }

        return true;
    }

    private void EmitMatches(Row row, bool isLeft)
    {
        foreach (var match in matches)
            EmitPair(isLeft ? row : match.Row, isLeft ? match.Row : row, row.Time, row.Event);
        matches.Clear();
    }

    private void EmitPair(Row leftRow, Row rightRow, long time, long origin)
    {
        if (leftRow.Parts is null)
            result.Parts![0] = leftRow;
        else
            leftRow.Parts.CopyTo(result.Parts!, 0);
        result.Parts![^1] = rightRow;
        result.Time = time;
        result.Event = origin;
        Emit(result);
    }

    /// <summary>Of paths alone, which cannot fail.</summary>
    private ulong KeyOf(bool leftSide)
    {
        var key = 17UL;
        foreach (var pair in plan.EqualKeys)
        {
            (leftSide ? pair.Left : pair.Right).Evaluate(frame, out var value);
            key = unchecked(((key << 5) | (key >> 59)) * 0x9E3779B97F4A7C15UL) ^ JoinKeys.HashOf(value);
        }

        return key;
    }

    private Kept Keep(Side side, Row row, ulong key, long until)
    {
        var kept = new Kept { Row = row.Owned(), Until = until, Key = key };
        Store(side, kept);
        return kept;
    }

    private void Store(Side side, Kept kept)
    {
        if (!side.ByKey.TryGetValue(kept.Key, out var list))
            side.ByKey.Add(kept.Key, list = new List<Kept>(1));
        list.Add(kept);
        side.Expiring.Enqueue(kept, (kept.Until, number++));
        side.HeldBytes += HeldBytesOf(kept);
        side.Count++;
    }

    /// <summary>Left rows whose time has passed without a match.</summary>
    private void EmitUnmatched(long time)
    {
        Expire(left, time);
        Expire(right, time);
        while (unmatched.TryPeek(out var kept, out var due) && due.Time < time)
        {
            unmatched.Dequeue();
            if (kept.IsAwaitedOnly)
                awaitedBytes -= HeldBytesOf(kept);
            if (kept.Matched)
                continue;
            frame.Time = due.Time;
            EmitPair(kept.Row, noRight, due.Time, kept.Row.Event);
            failures.Release(kept.Row);
        }
    }

    private static void Expire(Side side, long time)
    {
        while (side.Expiring.TryPeek(out var kept, out var due) && due.Until < time)
        {
            side.Expiring.Dequeue();
            kept.Expired = true;
            side.HeldBytes -= HeldBytesOf(kept);
            side.Count--;
            var list = side.ByKey[kept.Key];

            // Rows of one key mostly expire in order: the first is the one.
            list.RemoveAt(list.IndexOf(kept));
            if (list.Count == 0)
                side.ByKey.Remove(kept.Key);
        }
    }

    protected override void Advance(long time)
    {
        EmitUnmatched(time);
        Forward(time);
    }

    public override void Save(StateWriter writer)
    {
        base.Save(writer);
        Save(writer, left);
        Save(writer, right);
    }

    private void Save(StateWriter writer, Side side)
    {
        var silent = new Dictionary<Kept, long>();
        if (ReferenceEquals(side, left))
        {
            foreach (var (kept, due) in unmatched.UnorderedItems)
                silent[kept] = due.Time;
        }

        // In the order in which they came, so that matches are emitted in the same order after a restart.
        var all = side.ByKey.Values.SelectMany(l => l).Concat(silent.Keys.Where(k => k.Expired)).Distinct();
        var numbers = new Dictionary<Kept, long>();
        foreach (var (kept, due) in side.Expiring.UnorderedItems)
            numbers[kept] = due.Number;
        foreach (var (kept, due) in unmatched.UnorderedItems)
            numbers.TryAdd(kept, due.Number);
        var ordered = all.OrderBy(k => numbers[k]).ToList();
        writer.Write(ordered.Count);
        foreach (var kept in ordered)
        {
            writer.Write(kept.Row);
            writer.Write(kept.Until);
            writer.Write(kept.Key);
            writer.Write(kept.Matched);
            writer.Write(kept.Expired);
            writer.Write(silent.TryGetValue(kept, out var due) ? due : long.MinValue);
        }
    }

    public override void Load(StateReader reader)
    {
        base.Load(reader);
        Load(reader, left);
        Load(reader, right);
    }

    private void Load(StateReader reader, Side side)
    {
        var count = reader.ReadCount();
        for (var index = 0; index < count; index++)
        {
            var kept = new Kept
            {
                Row = reader.ReadRow(),
                Until = reader.ReadLong(),
                Key = reader.ReadULong(),
                Matched = reader.ReadBool(),
                Expired = reader.ReadBool(),
            };
            if (!kept.Expired)
                Store(side, kept);
            var due = reader.ReadLong();
            if (due != long.MinValue)
                Await(kept, due);
        }
    }
}

/// <summary>
/// Hashes under which all values that can be equal by <c>=</c> meet, whatever their types: a number and the string of its
/// digits, a datetime and its ISO text.
/// </summary>
internal static class JoinKeys
{
    public static ulong HashOf(in Value value)
    {
        if (value.IsNull)
            return 1;
        if (Conversion.TryToNumber(value, out var number))
        {
            var rounded = number.Kind == Kind.Bigint ? number.Bits : number.Double;
            return rounded == 0 ? 3UL : BitConverter.DoubleToUInt64Bits(rounded);
        }

        if (Conversion.TryToTicks(value, out var ticks))
            return (ulong)ticks * 0x9E3779B97F4A7C15UL;
        return value.IsText ? KeyWriter.Hash(Conversion.TextBytes(value)) : 5;
    }
}

/// <summary>The rows of a reference input, replaceable while the query runs.</summary>
internal sealed class ReferenceTable
{
    public Row[] Rows { get; set; } = [];

    /// <summary>Changes with the rows, so that indexes know when they are out of date.</summary>
    public int Version { get; set; }
}

internal sealed class ReferenceJoinPlan
{
    public required int LeftSources { get; init; }

    public required bool IsLeftJoin { get; init; }

    public required (Node Left, Node Right)[] EqualKeys { get; init; }

    /// <summary>Evaluated for every row.</summary>
    public required JoinCheck[] LeftChecks { get; init; }

    /// <summary>Evaluated once for every reference row.</summary>
    public required JoinCheck[] RightChecks { get; init; }

    public required Node On { get; init; }

    public int RightColumns { get; init; }
}

/// <summary>Joins each row with the reference rows of the moment.</summary>
internal sealed class ReferenceJoinOperator : Operator
{
    private readonly ReferenceJoinPlan plan;
    private readonly ReferenceTable table;
    private readonly QueryIdentity query;
    private readonly IFailureSink failures;
    private readonly Frame frame;
    private readonly Row result;
    private readonly Row noRight;
    private readonly List<Row> matches = [];
    private Dictionary<ulong, List<Row>> byKey = [];
    private int version = -1;

    public ReferenceJoinOperator(ReferenceJoinPlan plan, ReferenceTable table, QueryIdentity query, IFailureSink failures)
    {
        this.plan = plan;
        this.table = table;
        this.query = query;
        this.failures = failures;
        frame = new Frame { Sources = new Row[plan.LeftSources + 1] };
        result = new Row(0) { Parts = new Row[plan.LeftSources + 1] };
        noRight = new Row(plan.RightColumns);
    }

    private void Index()
    {
        version = table.Version;
        byKey = [];
        foreach (var row in table.Rows)
        {
            frame.Sources[^1] = row;
            if (!JoinCheck.TryAll(plan.RightChecks, frame, out var canMatch) || !canMatch)
                continue;       // a reference row is no event: one on which ON fails matches nothing
            var key = KeyOf(leftSide: false);
            if (!byKey.TryGetValue(key, out var list))
                byKey.Add(key, list = []);
            list.Add(row);
        }
    }

    private ulong KeyOf(bool leftSide)
    {
        var key = 17UL;
        foreach (var pair in plan.EqualKeys)
        {
            (leftSide ? pair.Left : pair.Right).Evaluate(frame, out var value);
            key = unchecked(((key << 5) | (key >> 59)) * 0x9E3779B97F4A7C15UL) ^ JoinKeys.HashOf(value);
        }

        return key;
    }

    public override void OnRow(int port, Row row)
    {
        if (version != table.Version)
            Index();
        if (row.Parts is null)
            frame.Sources[0] = row;
        else
            row.Parts.CopyTo(frame.Sources, 0);
        frame.Sources[^1] = noRight;
        frame.Time = row.Time;
        if (!JoinCheck.TryAll(plan.LeftChecks, frame, out var canMatch))
        {
            failures.Fail(query, row, frame.Error!);
            return;
        }

        matches.Clear();
        if (canMatch && byKey.TryGetValue(KeyOf(leftSide: true), out var candidates))
        {
            foreach (var candidate in candidates)
            {
                frame.Sources[^1] = candidate;
                frame.Error = null;
                var truth = plan.On.Test(frame);
                if (frame.Error is not null)
                    failures.Fail(query, row, frame.Error);
                else if (truth == Truth.True)
                    matches.Add(candidate);
            }
        }

        foreach (var match in matches)
            EmitPair(row, match);
        if (matches.Count == 0 && plan.IsLeftJoin)
            EmitPair(row, noRight);
    }

    private void EmitPair(Row row, Row reference)
    {
        if (row.Parts is null)
            result.Parts![0] = row;
        else
            row.Parts.CopyTo(result.Parts!, 0);
        result.Parts![^1] = reference;
        result.Time = row.Time;
        result.Event = row.Event;
        result.Rank = row.Rank;
        Emit(result);
    }
}

/// <summary>An APPLY that stands before a join; one behind all joins is done by the SELECT itself.</summary>
internal sealed class ApplyOperator(ApplyPlan plan, int leftSources, QueryIdentity query, IFailureSink failures) : Operator
{
    private readonly Frame frame = new() { Sources = new Row[leftSources] };
    private readonly Row result = new(0) { Parts = new Row[leftSources + 1] };
    private readonly Row part = new(2);

    public override void OnRow(int port, Row row)
    {
        if (row.Parts is null)
            frame.Sources[0] = row;
        else
            row.Parts.CopyTo(frame.Sources, 0);
        frame.Time = row.Time;
        frame.Error = null;
        plan.Argument.Evaluate(frame, out var value);
        if (frame.Error is not null)
        {
            failures.Fail(query, row, frame.Error);
            return;
        }

        frame.Sources.CopyTo(result.Parts!, 0);
        result.Parts![^1] = part;
        result.Time = part.Time = row.Time;
        result.Event = row.Event;
        result.Rank = row.Rank;
        var any = false;
        if (plan.Elements && value.Kind == Kind.Array)
        {
            var elements = new Json.ElementEnumerator(value);
            for (long number = 0; elements.MoveNext(); number++)
            {
                any = true;
                part.Columns[0] = Value.Of(number);
                part.Columns[1] = elements.Value;
                Emit(result);
            }
        }
        else if (!plan.Elements && value.Kind == Kind.Record)
        {
            var fields = new Json.FieldEnumerator(value);
            while (fields.MoveNext())
            {
                any = true;
                part.Columns[0] = Value.OfBytes(Kind.Text, fields.Name.ToArray());
                part.Columns[1] = fields.Value;
                Emit(result);
            }
        }

        if (any || !plan.Outer)
            return;
        part.Columns[0] = part.Columns[1] = Value.Null;
        Emit(result);
    }
}
