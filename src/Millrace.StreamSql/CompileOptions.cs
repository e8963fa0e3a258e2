namespace Millrace.StreamSql;

/// <summary>What happens to events beyond a tolerance.</summary>
public enum OrderPolicy
{
    /// <summary>Their timestamp is moved to the edge of the tolerance.</summary>
    Adjust,

    /// <summary>They are dropped and counted.</summary>
    Drop,
}

/// <summary>What a script is compiled against.</summary>
public sealed record CompileOptions
{
    /// <summary>Names of the inputs that exist. With <see cref="AcceptAnyInput"/> any other name is an input too.</summary>
    public IReadOnlyCollection<string> Inputs { get; init; } = [];

    /// <summary>Names of the reference inputs.</summary>
    public IReadOnlyCollection<string> References { get; init; } = [];

    /// <summary>Every name that is neither a step nor known is taken as an input. Default false.</summary>
    public bool AcceptAnyInput { get; init; }

    /// <summary>
    /// Inputs that carry many devices, each with its own clock: TIMESTAMP BY without OVER on them gives a warning.
    /// </summary>
    public IReadOnlyCollection<string> ManyDeviceInputs { get; init; } = [];

    /// <summary>Adds the event's device as a field <c>id</c> where the payload has none. Default false.</summary>
    public bool AddDeviceId { get; init; }

    /// <summary>Functions under the prefix <c>udf.</c>.</summary>
    public FunctionRegistry? Functions { get; init; }

    /// <summary>How late an event may arrive. Default 5 s.</summary>
    public TimeSpan LateArrival { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>How far an event may lie behind the newest one of its input. Default 0.</summary>
    public TimeSpan OutOfOrder { get; init; }

    /// <summary>What happens beyond the tolerances. Default <see cref="OrderPolicy.Adjust"/>.</summary>
    public OrderPolicy Policy { get; init; }

    /// <summary>Into how many shards keyed state is spread (1 to 1024). Results do not depend on it. Default 1.</summary>
    public int Partitions { get; init; } = 1;

    /// <summary>
    /// How many threads an execution works with, the caller's among them (1 to 64). Results do not depend on it; with more than
    /// one they come in batches (<see cref="QueryExecution.Flush"/>), and user functions are called by several threads. Default 1.
    /// </summary>
    public int Threads { get; init; } = 1;

    /// <summary>Bytes of state beyond which the execution stops; 0 for no limit. The estimate is good to some ten per cent.</summary>
    public long MemoryLimitBytes { get; init; }
}
