using Millrace.StreamSql.Expressions;
using Millrace.StreamSql.Operators;

namespace Millrace.StreamSql.Spreading;

/// <summary>Notes the order in which the ordering steps let the rows of a batch go on, and gives each row to its shard.</summary>
/// <param name="shards">Number of shards.</param>
/// <param name="spreads">Per stream, whether any SELECT takes its rows in shards.</param>
/// <param name="anyShard">Per stream, whether any shard will do: neighbours then go to the same.</param>
internal sealed class StepRecorder(int shards, bool[] spreads, bool[] anyShard) : IOrderedRows, IFailureSink
{
    private const int NeighbourBits = 6;

    /// <summary>Per stream, whether marks matter to what is not spread.</summary>
    public bool[] WantsMarks { get; } = new bool[spreads.Length];

    public Batch Batch { get; set; } = null!;

    /// <summary>The event that is being put in order.</summary>
    public int Event { get; set; }

    public void Add(int stream, long time, uint hash) => Add(new Step(StepKind.Row, stream, ShardOf(stream, hash), Event, time));

    public void AddWaited(int stream, long time, in WaitingEvent waited)
    {
        Add(new Step(StepKind.Waited, stream, ShardOf(stream, waited.Hash), Batch.Waited.Count, time));
        Batch.Waited.Add(waited);
    }

    private int ShardOf(int stream, uint hash)
    {
        if (!spreads[stream])
            return -1;
        return (int)((anyShard[stream] ? (uint)Batch.Steps.Count >> NeighbourBits : hash) % (uint)shards);
    }

    private void Add(in Step step)
    {
        if (step.Shard >= 0)
            Batch.Shards[step.Shard].Steps.Add(Batch.Steps.Count);
        Batch.Steps.Add(step);
    }

    public void AddMark(int stream, long time)
    {
        Batch.Marks[stream] = time;
        if (WantsMarks[stream])
            Batch.Steps.Add(new Step(StepKind.Mark, stream, -1, -1, time));
    }

    public void Fail(QueryIdentity query, Row row, string reason)
    {
        // The failure's number stands where a row's time would.
        Batch.Steps.Add(new Step(StepKind.Failure, -1, -1, Event, Batch.Failures.Count));
        Batch.Failures.Add(new Failure(Batch.Steps.Count - 1, query.Number, row.Event, reason));
    }
}
