using Millrace.StreamSql.Expressions;
using Millrace.StreamSql.State;

namespace Millrace.StreamSql.Operators;

/// <summary>Numbers the rows of one output and hands them to the sink; several queries are merged by time and statement.</summary>
internal sealed class OutputOperator(string name, int ordinal, OutputItem[][] items, bool isTimeOrdered, IQuerySink sink)
    : MergingOperator(items.Length)
{
    private readonly Frame frame = new() { Sources = new Row[1] };
    private readonly OutputRow output = new() { IsTimeOrdered = isTimeOrdered };

    public long NextNumber { get; private set; }

    /// <summary>Whether anybody has asked for rows as JSON: then it pays to write them beforehand.</summary>
    public bool WritesJson => output.HasWrittenJson;

    protected override void Process(int port, Row row)
    {
        frame.Sources[0] = row;
        frame.Time = row.Time;
        frame.Error = null;
        output.Set(name, ordinal, NextNumber++, items[port], frame, row.Json);
        sink.OnRow(output);
    }

    public override void Save(StateWriter writer)
    {
        base.Save(writer);
        writer.Write(NextNumber);
    }

    public override void Load(StateReader reader)
    {
        base.Load(reader);
        NextNumber = reader.ReadLong();
    }
}
