using Millrace.StreamSql.Expressions;

namespace Millrace.StreamSql.Operators;

/// <summary>Where a query reports events that it cannot evaluate.</summary>
internal interface IFailureSink
{
    /// <summary>Counts the event once per query and dead-letters it.</summary>
    void Fail(QueryIdentity query, Row row, string reason);

    /// <summary>The row is going to wait, and its event will be over when it goes on: its dead letter shall tell of it all the same.</summary>
    void Hold(Row row)
    {
    }

    /// <summary>The row waits no longer.</summary>
    void Release(Row row)
    {
    }
}

/// <summary>One SELECT of a script: the unit in which bad events are counted.</summary>
internal sealed class QueryIdentity(int number, string name)
{
    public int Number { get; } = number;

    /// <summary>The step's or the output's name.</summary>
    public string Name { get; } = name;

    /// <summary>The event counted last, so that one event counts once however many of its rows fail.</summary>
    public long LastFailed { get; set; } = -1;
}
