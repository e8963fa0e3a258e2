using Microsoft.Extensions.Logging;
using Millrace.Core;
using Millrace.Jobs.Definitions;
using Millrace.Jobs.Running;
using Millrace.Outputs.Delivery;
using Millrace.Outputs.Email;
using Millrace.Outputs.Files;
using Millrace.Outputs.GoogleSheets;
using Millrace.Outputs.Sql;
using Millrace.Outputs.Webhook;
using Millrace.Processing.DeadLetters;
using Millrace.Registry.Alerts;
using Millrace.StreamSql;

namespace Millrace.Jobs;

/// <summary>What jobs work with: everything is given, nothing is looked up.</summary>
public sealed record JobServices
{
    public required IReadingLog Log { get; init; }

    /// <summary>Keeps the log from removing by age what a running job has yet to read; null where nothing is removed.</summary>
    public Func<Func<PositionVector>, IDisposable>? HoldLog { get; init; }

    /// <summary>The past, for previews and scheduled jobs; what the log holds, unless something reaches further back.</summary>
    public IRecordedReadings Recorded
    {
        get => field ??= new RecordedInLog(Log);
        init;
    }

    public required AlertBook Alerts { get; init; }

    /// <summary>Where events go that a job cannot take; null: they are only counted.</summary>
    public DeadLetterStore? DeadLetters { get; init; }

    /// <summary>The data folder's <c>jobs</c>.</summary>
    public required string Folder { get; init; }

    public required AllowedFolders Folders { get; init; }

    public SmtpOptions Smtp { get; init; } = new();

    /// <summary>SQL dialects besides SQLite and PostgreSQL.</summary>
    public IReadOnlyList<ISqlDialect> Dialects { get; init; } = [];

    /// <summary>Functions <c>udf.…</c> that jobs may call; add them before the first job starts.</summary>
    public FunctionRegistry Functions { get; init; } = new();

    /// <summary>For webhooks and spreadsheets: never link-local addresses.</summary>
    public HttpClient Http { get; init; } = GuardedHttp.Create();

    public RetryPolicy Retry { get; init; } = new();

    /// <summary>Bytes that may wait for one target; beyond it the job waits, too.</summary>
    public long OutboxBytesMax { get; init; } = 1L << 30;

    /// <summary>How often a job's state is saved at most; a restart reads no further back than this.</summary>
    public TimeSpan SnapshotEvery { get; init; } = TimeSpan.FromSeconds(15);

    public TimeProvider Time { get; init; } = TimeProvider.System;

    public required ILoggerFactory Logs { get; init; }

    /// <summary>The query of a definition that can run.</summary>
    /// <exception cref="JobDefinitionException">Why it cannot.</exception>
    internal CompiledQuery Compile(JobDefinition definition)
    {
        var compiled = definition.Compile(Functions);
        if (compiled.Query is not { } query)
            throw new JobDefinitionException([.. compiled.Errors.Select(e => new JobError(e.Line, e.Column, e.Message))]);
        return new OutputFactory(this).Check(definition) is { Count: > 0 } wrong ? throw new JobDefinitionException(wrong) : query;
    }

    internal CircuitBreaker Circuits => _circuits ??= new CircuitBreaker(Time);

    internal SheetsQuota Quota => _quota ??= new SheetsQuota(Time);

    private CircuitBreaker? _circuits;
    private SheetsQuota? _quota;
}
