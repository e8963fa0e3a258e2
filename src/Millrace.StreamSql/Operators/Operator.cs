using Millrace.StreamSql.Expressions;
using Millrace.StreamSql.State;

namespace Millrace.StreamSql.Operators;

/// <summary>
/// One step of a running query. Rows of a port come in order of their timestamps; a watermark w on a port says that every
/// row to come there has a timestamp of at least w. An operator keeps both promises towards its targets.
/// </summary>
internal abstract class Operator
{
    /// <summary>Whoever consumes the results, with the port to use.</summary>
    public List<(Operator Operator, int Port)> Targets { get; } = [];

    // The targets once the graph is complete: rows go through an array faster than through a list.
    private (Operator Operator, int Port)[]? wired;

    /// <summary>Whether watermarks do anything here or further down; filled in when the graph is complete.</summary>
    public bool WantsWatermarks { get; set; }

    /// <summary>Watermarks change what this operator itself does.</summary>
    public virtual bool UsesWatermarks => false;

    /// <summary>Whether announcing a row on its way gains anything here or, for an input, behind it.</summary>
    public virtual bool LooksAhead => false;

    /// <summary>The row will come soon, unless something before holds it back: time to ask memory for what it will meet.</summary>
    public virtual void Announce(Row row)
    {
    }

    public abstract void OnRow(int port, Row row);

    public virtual void OnWatermark(int port, long time) => Forward(time);

    /// <summary>Hands a row to the targets.</summary>
    public void Emit(Row row)
    {
        foreach (ref readonly var next in (wired ??= [.. Targets]).AsSpan())
            next.Operator.OnRow(next.Port, row);
    }

    /// <summary>Hands a watermark to the targets that want it.</summary>
    public void Forward(long time)
    {
        foreach (var (target, port) in wired ??= [.. Targets])
        {
            if (target.WantsWatermarks)
                target.OnWatermark(port, time);
        }
    }

    public virtual void Save(StateWriter writer)
    {
    }

    public virtual void Load(StateReader reader)
    {
    }

    public virtual long HeldBytes => 0;
}

/// <summary>
/// An operator over several ports: merges them by (timestamp, port). A row waits until no other port can bring one that
/// goes first, so the order does not depend on how rows and watermarks of different inputs interleave.
/// </summary>
/// <param name="ports">Number of ports.</param>
/// <param name="events">Told of rows that wait; null where nothing can fail behind.</param>
internal abstract class MergingOperator(int ports, IFailureSink? events = null) : Operator
{
    private readonly Queue<Row>[] waiting = [.. Enumerable.Range(0, ports).Select(_ => new Queue<Row>())];
    private readonly long[] watermarks = [.. Enumerable.Repeat(long.MinValue, ports)];
    private int waitingCount;
    private long waitingBytes;
    private long advanced = long.MinValue;

    public override bool UsesWatermarks => ports > 1;

    public bool HasOnePort => ports == 1;

    public override long HeldBytes => waitingBytes;

    protected abstract void Process(int port, Row row);

    /// <summary>Every row to come has a timestamp of at least <paramref name="time"/>.</summary>
    protected virtual void Advance(long time) => Forward(time);

    public override void OnRow(int port, Row row)
    {
        if (ports == 1)
        {
            Process(port, row);
            return;
        }

        if (row.Time > watermarks[port])
            watermarks[port] = row.Time;
        if (waitingCount == 0 && IsNext(row.Time, port))
        {
            Process(port, row);
            return;
        }

        var kept = row.Owned();
        events?.Hold(kept);
        waiting[port].Enqueue(kept);
        waitingCount++;
        waitingBytes += kept.HeldBytes();
        Drain();
    }

    public override void OnWatermark(int port, long time)
    {
        if (ports == 1)
        {
            Advance(time);
            return;
        }

        if (time <= watermarks[port])
            return;
        watermarks[port] = time;
        Drain();
        var lowest = watermarks[0];
        for (var index = 1; index < ports; index++)
            lowest = Math.Min(lowest, watermarks[index]);
        if (lowest > advanced)
        {
            advanced = lowest;
            Advance(lowest);
        }
    }

    private void Drain()
    {
        while (waitingCount > 0)
        {
            var best = -1;
            for (var port = 0; port < ports; port++)
            {
                if (waiting[port].TryPeek(out var candidate) && (best < 0 || candidate.Time < waiting[best].Peek().Time))
                    best = port;
            }

            var row = waiting[best].Peek();
            if (!IsNext(row.Time, best))
                return;
            waiting[best].Dequeue();
            waitingCount--;
            waitingBytes = waitingCount == 0 ? 0 : waitingBytes - row.HeldBytes();
            Process(best, row);
            events?.Release(row);
        }
    }

    private bool IsNext(long time, int port)
    {
        for (var other = 0; other < ports; other++)
        {
            if (other != port && waiting[other].Count == 0 && (watermarks[other] < time || (watermarks[other] == time && other < port)))
                return false;
        }

        return true;
    }

    public override void Save(StateWriter writer)
    {
        writer.Write(advanced);
        for (var port = 0; port < ports; port++)
        {
            writer.Write(watermarks[port]);
            writer.Write(waiting[port].Count);
            foreach (var row in waiting[port])
                writer.Write(row);
        }
    }

    public override void Load(StateReader reader)
    {
        advanced = reader.ReadLong();
        for (var port = 0; port < ports; port++)
        {
            watermarks[port] = reader.ReadLong();
            var count = reader.ReadCount();
            for (var index = 0; index < count; index++)
            {
                var row = reader.ReadRow();
                waiting[port].Enqueue(row);
                waitingCount++;
                waitingBytes += row.HeldBytes();
            }
        }
    }
}

/// <summary>UNION: rows of all branches in the columns of the first.</summary>
internal sealed class UnionOperator : MergingOperator
{
    private readonly Node[][] columns;
    private readonly Frame frame = new() { Sources = new Row[1] };
    private readonly Row result;

    /// <param name="columns">Per branch, the union's columns over the branch's row.</param>
    /// <param name="events">Told of rows that wait.</param>
    public UnionOperator(Node[][] columns, IFailureSink events)
        : base(columns.Length, events)
    {
        this.columns = columns;
        result = new Row(columns[0].Length);
    }

    protected override void Process(int port, Row row)
    {
        frame.Sources[0] = row;
        frame.Time = row.Time;
        frame.Error = null;
        for (var index = 0; index < result.Columns.Length; index++)
            columns[port][index].Evaluate(frame, out result.Columns[index]);
        result.Time = row.Time;
        result.Event = row.Event;
        Emit(result);
    }
}
