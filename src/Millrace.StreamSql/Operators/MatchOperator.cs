using Millrace.StreamSql.Expressions;
using Millrace.StreamSql.State;
using Millrace.StreamSql.Syntax;
using Millrace.StreamSql.Values;

namespace Millrace.StreamSql.Operators;

/// <summary>
/// MATCH_RECOGNIZE: every row starts an attempt. An attempt is tried anew with each row of its key until it is decided: it
/// has matched and no path preferred to the match is still open, or nothing is open any more, or its time has passed.
/// </summary>
internal sealed class MatchOperator : Operator
{
    /// <summary>Steps after which an attempt is given up: patterns like (A* B*)* can branch without end.</summary>
    private const int StepsMax = 100_000;

    private sealed class Sequence
    {
        public required byte[] Key;
        public readonly List<Row> Rows = [];
        public readonly List<Attempt> Attempts = [];
        public long FirstNumber;        // number of Rows[0]
    }

    private sealed class Attempt
    {
        public required Sequence Sequence;
        public long Start;              // number of its first row within the sequence
        public long Number;             // order of all attempts
        public bool Decided;
        public Row? Result;
    }

    private readonly MatchPlan plan;
    private readonly QueryIdentity query;
    private readonly IFailureSink failures;
    private readonly Frame frame;
    private readonly Row noRow;
    private readonly KeyWriter key = new();
    private readonly Dictionary<string, Sequence> sequences = [];
    private readonly PriorityQueue<Attempt, (long Deadline, long Number)> deadlines = new();
    private readonly SortedSet<(long Time, long Number)> undecided = [];
    private readonly PriorityQueue<Row, (long Time, long Number)> results = new();
    private long number;
    private long now = long.MinValue;
    private long forwarded = long.MinValue;
    private int steps;
    private bool hitEnd;
    private bool isLast;
    private List<Row> rows = [];
    private int origin;
    private long held;

    public MatchOperator(MatchPlan plan, int sourceColumns, QueryIdentity query, IFailureSink failures)
    {
        this.plan = plan;
        this.query = query;
        this.failures = failures;
        frame = new Frame { Sources = new Row[plan.Variables.Length + 1] };
        noRow = new Row(sourceColumns);
    }

    public override bool UsesWatermarks => true;

    public override long HeldBytes => held + (deadlines.Count * 120L);

    public override void OnRow(int port, Row row)
    {
        AdvanceTo(row.Time);
        frame.Error = null;
        frame.Time = row.Time;
        Array.Fill(frame.Sources, row);
        key.Clear();
        foreach (var part in plan.PartitionBy)
        {
            part.Evaluate(frame, out var value);
            key.Add(value);
        }

        if (frame.Error is not null)
        {
            failures.Fail(query, row, frame.Error);
            return;
        }

        var name = System.Text.Encoding.Latin1.GetString(key.Key);
        if (!sequences.TryGetValue(name, out var sequence))
            sequences.Add(name, sequence = new Sequence { Key = key.Key.ToArray() });
        var kept = row.Owned();
        held += kept.HeldBytes();
        sequence.Rows.Add(kept);
        var attempt = new Attempt { Sequence = sequence, Start = sequence.FirstNumber + sequence.Rows.Count - 1, Number = number++ };
        sequence.Attempts.Add(attempt);
        deadlines.Enqueue(attempt, (row.Time + plan.Limit, attempt.Number));
        for (var index = 0; index < sequence.Attempts.Count; index++)
            Try(sequence.Attempts[index], isFinal: false);
        Prune(sequence);
    }

    /// <summary>Runs an attempt over the rows that have come.</summary>
    private void Try(Attempt attempt, bool isFinal)
    {
        var sequence = attempt.Sequence;
        if (attempt.Result is not null)
            undecided.Remove((attempt.Result.Time, attempt.Number));
        attempt.Result = null;
        rows = sequence.Rows;
        origin = (int)(attempt.Start - sequence.FirstNumber);
        steps = 0;
        hitEnd = false;
        isLast = isFinal;
        plan.Assignment.Rows.Clear();
        frame.Error = null;
        var matched = Match(plan.Pattern, origin, end => end > origin);
        if (frame.Error is not null)
        {
            failures.Fail(query, rows[^1], frame.Error);
            matched = false;
            hitEnd = false;
        }

        attempt.Decided = isFinal || !hitEnd;
        if (matched)
            attempt.Result = Measure(attempt);
        if (!attempt.Decided)
        {
            if (attempt.Result is not null)
                undecided.Add((attempt.Result.Time, attempt.Number));
        }
        else if (attempt.Result is not null)
        {
            results.Enqueue(attempt.Result, (attempt.Result.Time, attempt.Number));
        }
    }

    private Row? Measure(Attempt attempt)
    {
        var last = plan.Assignment.Rows[^1].Row;
        SetSources(plan.Assignment.Rows.Count);
        frame.Sources[^1] = last;
        frame.Time = last.Time;
        var result = new Row(plan.Measures.Length) { Time = last.Time, Event = last.Event };
        for (var index = 0; index < plan.Measures.Length; index++)
            plan.Measures[index].Node.Evaluate(frame, out result.Columns[index]);
        if (frame.Error is null)
            return result;
        failures.Fail(query, last, frame.Error);
        return null;
    }

    private void SetSources(int count)
    {
        Array.Fill(frame.Sources, noRow);
        for (var index = 0; index < count; index++)
            frame.Sources[plan.Assignment.Rows[index].Variable] = plan.Assignment.Rows[index].Row;
    }

    /// <summary>Backtracking in order of preference: alternatives from the left, repetitions as long as possible.</summary>
    private bool Match(Pattern pattern, int position, Func<int, bool> next)
    {
        if (++steps > StepsMax || frame.Error is not null)
            return false;
        switch (pattern)
        {
            case VariablePattern variable:
                return MatchRow(Array.FindIndex(plan.Variables, v => v.Equals(variable.Name, StringComparison.OrdinalIgnoreCase)), position, next);
            case SequencePattern sequence:
                return MatchSequence(sequence.Items, 0, position, next);
            case ChoicePattern choice:
                foreach (var item in choice.Items)
                {
                    if (Match(item, position, next))
                        return true;
                }

                return false;
            case RepeatPattern repeat:
                return MatchRepeat(repeat, 0, position, next);
            default:
                throw new InvalidOperationException(pattern.GetType().Name);
        }
    }

    private bool MatchSequence(List<Pattern> items, int index, int position, Func<int, bool> next)
        => index == items.Count ? next(position) : Match(items[index], position, end => MatchSequence(items, index + 1, end, next));

    private bool MatchRepeat(RepeatPattern repeat, int count, int position, Func<int, bool> next)
    {
        if ((repeat.Many || count == 0)
            && Match(repeat.Item, position, end => end > position && MatchRepeat(repeat, count + 1, end, next)))
            return true;
        return count >= repeat.Least && next(position);
    }

    private bool MatchRow(int variable, int position, Func<int, bool> next)
    {
        if (position >= rows.Count)
        {
            hitEnd |= !isLast;
            return false;
        }

        var row = rows[position];
        if (row.Time - rows[origin].Time >= plan.Limit)
            return false;
        plan.Assignment.Rows.Add((variable, row));
        if (Fits(variable, row) && next(position + 1))
            return true;
        plan.Assignment.Rows.RemoveAt(plan.Assignment.Rows.Count - 1);
        return false;
    }

    private bool Fits(int variable, Row row)
    {
        if (plan.Conditions[variable] is not { } condition)
            return true;
        SetSources(plan.Assignment.Rows.Count);
        frame.Sources[^1] = row;
        frame.Time = row.Time;
        frame.Error = null;
        return condition.Test(frame) == Truth.True && frame.Error is null;
    }

    /// <summary>Forgets decided attempts and the rows before the first that is open.</summary>
    private void Prune(Sequence sequence)
    {
        sequence.Attempts.RemoveAll(a => a.Decided);
        if (sequence.Attempts.Count == 0)
        {
            foreach (var row in sequence.Rows)
                held -= row.HeldBytes();
            sequences.Remove(System.Text.Encoding.Latin1.GetString(sequence.Key));
            return;
        }

        var unused = (int)(sequence.Attempts[0].Start - sequence.FirstNumber);
        for (var index = 0; index < unused; index++)
            held -= sequence.Rows[index].HeldBytes();
        sequence.Rows.RemoveRange(0, unused);
        sequence.FirstNumber += unused;
    }

    public override void OnWatermark(int port, long time)
    {
        AdvanceTo(time);
        var mark = undecided.Count > 0 ? Math.Min(time, undecided.Min.Time) : time;
        if (mark <= forwarded)
            return;
        forwarded = mark;
        Forward(mark);
    }

    private void AdvanceTo(long time)
    {
        if (time <= now)
            return;
        now = time;
        while (deadlines.TryPeek(out var attempt, out var due) && due.Deadline <= time)
        {
            deadlines.Dequeue();
            if (attempt.Decided)
                continue;
            Try(attempt, isFinal: true);
            Prune(attempt.Sequence);
        }

        // Results of one instant come together and in order of their first rows, however rows and watermarks interleave.
        var limit = undecided.Count > 0 ? Math.Min(time, undecided.Min.Time) : time;
        while (results.TryPeek(out var result, out var place) && place.Time < limit)
        {
            results.Dequeue();
            Emit(result);
        }
    }

    public override void Save(StateWriter writer)
    {
        writer.Write(number);
        writer.Write(now);
        writer.Write(forwarded);
        writer.Write(sequences.Count);
        foreach (var sequence in sequences.Values)
        {
            writer.WriteBytes(sequence.Key);
            writer.Write(sequence.FirstNumber);
            writer.Write(sequence.Rows.Count);
            foreach (var row in sequence.Rows)
                writer.Write(row);
            writer.Write(sequence.Attempts.Count);
            foreach (var attempt in sequence.Attempts)
            {
                writer.Write(attempt.Start);
                writer.Write(attempt.Number);
            }
        }

        writer.Write(results.Count);
        foreach (var (row, place) in results.UnorderedItems.OrderBy(i => i.Priority))
        {
            writer.Write(row);
            writer.Write(place.Number);
        }
    }

    public override void Load(StateReader reader)
    {
        number = reader.ReadLong();
        now = reader.ReadLong();
        forwarded = reader.ReadLong();
        var count = reader.ReadCount();
        for (var index = 0; index < count; index++)
        {
            var sequence = new Sequence { Key = reader.ReadBytes(), FirstNumber = reader.ReadLong() };
            var rowCount = reader.ReadCount();
            for (var row = 0; row < rowCount; row++)
            {
                sequence.Rows.Add(reader.ReadRow());
                held += sequence.Rows[^1].HeldBytes();
            }

            sequences.Add(System.Text.Encoding.Latin1.GetString(sequence.Key), sequence);
            var attempts = reader.ReadCount();
            for (var item = 0; item < attempts; item++)
            {
                var attempt = new Attempt { Sequence = sequence, Start = reader.ReadLong(), Number = reader.ReadLong() };
                sequence.Attempts.Add(attempt);
                deadlines.Enqueue(attempt, (sequence.Rows[(int)(attempt.Start - sequence.FirstNumber)].Time + plan.Limit, attempt.Number));
                Try(attempt, isFinal: false);
            }
        }

        count = reader.ReadCount();
        for (var index = 0; index < count; index++)
        {
            var row = reader.ReadRow();
            results.Enqueue(row, (row.Time, reader.ReadLong()));
        }
    }
}
