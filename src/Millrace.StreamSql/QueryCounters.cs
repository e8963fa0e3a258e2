namespace Millrace.StreamSql;

/// <summary>What an execution has counted since it was first started; kept in snapshots.</summary>
/// <param name="Events">Events pushed.</param>
/// <param name="Rows">Result rows of all outputs.</param>
/// <param name="Bad">Events that a query could not evaluate, once per query.</param>
/// <param name="Late">Events beyond the late-arrival tolerance, adjusted or dropped.</param>
/// <param name="Early">Events more than five minutes ahead of their arrival, dropped.</param>
/// <param name="OutOfOrder">Events beyond the out-of-order tolerance, adjusted or dropped.</param>
public readonly record struct QueryCounters(long Events, long Rows, long Bad, long Late, long Early, long OutOfOrder);

/// <summary>Thrown by pushes when the state would exceed its limit; the execution is then of no further use.</summary>
public sealed class QueryMemoryException : Exception
{
    public QueryMemoryException()
    {
    }

    public QueryMemoryException(string message)
        : base(message)
    {
    }

    public QueryMemoryException(string message, Exception innerException)
        : base(message, innerException)
    {
    }
}
