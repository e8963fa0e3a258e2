using System.Text.Json.Nodes;
using Millrace.Jobs.Scheduling;
using Millrace.StreamSql;

namespace Millrace.Jobs.Definitions;

/// <summary>Where a job begins to emit.</summary>
public enum StartKind
{
    Now,

    /// <summary>The oldest reading the log holds.</summary>
    Beginning,

    /// <summary>A time of arrival.</summary>
    Time,
}

/// <summary>An input of a job.</summary>
/// <param name="Reference">Null: all telemetry. Else rows without time.</param>
public sealed record JobInput(string Name, ReferenceSource? Reference);

/// <summary>Where the rows of a reference input come from.</summary>
/// <param name="File">A CSV or JSON file, or null.</param>
/// <param name="Table">Else a table: provider, connection and name.</param>
public sealed record ReferenceSource(string? File, string? Provider, string? Connection, string? Table, TimeSpan Refresh);

/// <summary>An output of a job, as it was written.</summary>
/// <param name="Spec">The object with "kind" and what that kind needs.</param>
public sealed record JobOutput(string Name, string Kind, JsonObject Spec);

/// <summary>What a user said a job is. Immutable; checked by <see cref="JobDefinitionReader"/>.</summary>
/// <param name="Source">The definition as it was given, to be shown again.</param>
public sealed record JobDefinition(
    string Name, string Query, IReadOnlyList<JobInput>? Inputs, IReadOnlyList<JobOutput> Outputs, StartKind StartFrom, long StartTime,
    TimeSpan LateArrival, TimeSpan OutOfOrder, OrderPolicy Policy, int MemoryLimitMb, JsonObject Source)
{
    /// <summary>When it runs over recorded readings; null: it runs over the stream.</summary>
    internal JobSchedule? Schedule { get; init; }

    /// <summary>State above this stops a job that says nothing else.</summary>
    public const int MemoryLimitMbDefault = 1024;

    /// <summary>Compiles the query with this job's inputs and tolerances.</summary>
    /// <param name="threads">For one who waits for the result; the server's jobs have one thread each.</param>
    public CompileResult Compile(FunctionRegistry? functions, int threads = 1)
    {
        var telemetry = Inputs?.Where(i => i.Reference is null).Select(i => i.Name).ToList() ?? [];
        var references = Inputs?.Where(i => i.Reference is not null).Select(i => i.Name).ToList() ?? [];
        var anyInput = telemetry.Count == 0;
        return StreamQuery.Compile(Query, new CompileOptions
        {
            Inputs = telemetry,
            References = references,
            AcceptAnyInput = anyInput,
            AddDeviceId = true,
            Functions = functions,
            ManyDeviceInputs = anyInput ? [.. StreamQuery.ReferencedNames(Query).Except(references, StringComparer.OrdinalIgnoreCase)] : telemetry,
            LateArrival = LateArrival,
            OutOfOrder = OutOfOrder,
            Policy = Policy,
            Threads = threads,
            MemoryLimitBytes = (long)MemoryLimitMb << 20,
        });
    }
}

/// <summary>Something wrong in a definition; line and column are of the query, 1 and 1 for the rest.</summary>
public sealed record JobError(int Line, int Column, string Message);

/// <summary>A definition that cannot be used, with every mistake found.</summary>
public sealed class JobDefinitionException(IReadOnlyList<JobError> errors)
    : Exception(string.Join("; ", errors.Select(e => e.Message)))
{
    public IReadOnlyList<JobError> Errors { get; } = errors;
}
