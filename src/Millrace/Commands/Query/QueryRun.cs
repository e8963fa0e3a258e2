using Millrace.Core;
using Millrace.History.Archive;
using Millrace.Jobs.Definitions;
using Millrace.Jobs.Recorded;
using Millrace.StreamSql;

namespace Millrace.Commands.Query;

/// <summary><c>millrace query run</c>: events from files, merged by arrival, or from a server's data folder; rows to files.</summary>
internal sealed class QueryRun
{
    public required string File { get; init; }

    public required List<(string Name, string File)> Inputs { get; init; }

    public required List<(string Name, string File)> References { get; init; }

    /// <summary>Instead of files: the range of a data folder's readings.</summary>
    public RecordedRange? Recorded { get; init; }

    public required string OutputFolder { get; init; }

    public string? ArrivalField { get; init; }

    public TimeSpan LateArrival { get; init; }

    public TimeSpan OutOfOrder { get; init; }

    public bool Drops { get; init; }

    /// <summary>More than one pays on machines with many cores only: on two the batches cost what the second core gives.</summary>
    public int Threads { get; init; } = 1;

    public const int ThreadsMax = 64;

    public int Run(TextWriter output, TextWriter errors, CancellationToken cancel)
    {
        var text = QueryCheck.ReadScript(File);
        var definition = Definition(text);
        var compiled = Recorded is null ? CompileForFiles(text) : definition.Compile(functions: null, Threads);
        foreach (var error in compiled.Errors)
            QueryErrors.Write(errors, File, text, error);
        foreach (var warning in compiled.Warnings)
            QueryErrors.Write(errors, File, text, warning, "warning: ");
        if (compiled.Query is not { } query)
            return ExitCode.Failed;

        try
        {
            var (counters, events) = Recorded is null ? RunOverFiles(query, errors, cancel) : RunOverData(definition, query, Recorded, errors, cancel);
            output.WriteLine(
                $"{events} events, {counters.Rows} rows, bad {counters.Bad}, late {counters.Late}, "
                + $"early {counters.Early}, out of order {counters.OutOfOrder}");
            return ExitCode.Done;
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException or InvalidDataException
            or QueryMemoryException)
        {
            throw new CommandException(failure.Message, failure);
        }
    }

    private CompileResult CompileForFiles(string text) => StreamQuery.Compile(text, new CompileOptions
    {
        Inputs = [.. Inputs.Select(i => i.Name)],
        References = [.. References.Select(r => r.Name)],
        LateArrival = LateArrival,
        OutOfOrder = OutOfOrder,
        Policy = Drops ? OrderPolicy.Drop : OrderPolicy.Adjust,
        Threads = Threads,
    });

    /// <summary>The script as the job it would be: over recorded readings it has to give that job's rows.</summary>
    private JobDefinition Definition(string text) => new(
        Path.GetFileNameWithoutExtension(File), text,
        [.. References.Select(r => new JobInput(r.Name, new ReferenceSource(r.File, null, null, null, TimeSpan.Zero)))], [], StartKind.Beginning, 0,
        LateArrival, OutOfOrder, Drops ? OrderPolicy.Drop : OrderPolicy.Adjust, JobDefinition.MemoryLimitMbDefault, []);

    private (QueryCounters Counters, long Events) RunOverFiles(CompiledQuery query, TextWriter errors, CancellationToken cancel)
    {
        // Rows of an earlier run are overwritten only when everything that is read can be read.
        var files = OpenInputs(query);
        try
        {
            var references = ReadReferences();
            using var rows = new RowFiles(OutputFolder, query.Outputs);
            using var execution = query.Start(rows);
            SetReferences(execution, references);
            Feed(files, execution, errors, cancel);
            return (execution.Counters, execution.Counters.Events);
        }
        finally
        {
            files.ForEach(f => f.Dispose());
        }
    }

    private (QueryCounters Counters, long Events) RunOverData(
        JobDefinition definition, CompiledQuery query, RecordedRange range, TextWriter errors, CancellationToken cancel)
    {
        using var log = DataFolders.OpenLog(range.Folder);
        var history = DataFolders.OpenHistory(range.Folder, range.Config);
        using var connection = history as IDisposable;
        var references = ReadReferences();
        using var rows = new RowFiles(OutputFolder, query.Outputs);
        using var run = new RecordedRun(definition, query, rows, tenant: 0);
        SetReferences(run.Execution, references);
        var progress = new Progress(errors);
        run.Run(
            new RecordedInHistory(log, new ArchiveReader(history, missing => errors.WriteLine($"millrace: not read: {missing}"))),
            range.From, range.To,
            arrival =>
            {
                progress.Show($"{run.Readings:N0} readings, at {Micros.ToIso(arrival)}");
                return true;
            },
            cancel);
        progress.End();
        foreach (var lost in run.Lost)
            errors.WriteLine($"millrace: partition {lost.Partition}: sequences {lost.From} to {lost.To - 1} are not there (removed by retention, or damaged)");
        return (run.Counters, run.Readings);
    }

    private List<(string Name, List<ReadOnlyMemory<byte>> Rows)> ReadReferences()
    {
        var references = new List<(string, List<ReadOnlyMemory<byte>>)>();
        foreach (var (name, file) in References)
        {
            try
            {
                references.Add((name, [.. ReferenceFile.Read(file)]));
            }
            catch (Exception failure) when (UnreadableFile.IsReason(failure))
            {
                throw UnreadableFile.For($"the reference input {name}", file, failure);
            }
        }

        return references;
    }

    private static void SetReferences(QueryExecution execution, List<(string Name, List<ReadOnlyMemory<byte>> Rows)> references)
    {
        foreach (var (name, rows) in references)
            execution.SetReference(name, rows);
    }

    private List<EventFile> OpenInputs(CompiledQuery query)
    {
        var files = new List<EventFile>();
        foreach (var (name, file) in Inputs)
        {
            // An input that no query reads is not an error: its file is simply not needed.
            if (query.InputOrdinal(name) is not (>= 0 and var ordinal))
                continue;
            try
            {
                files.Add(new EventFile(file, ordinal, Clocks(query, ordinal)));
            }
            catch (Exception failure) when (UnreadableFile.IsReason(failure))
            {
                files.ForEach(f => f.Dispose());
                throw UnreadableFile.For($"the input {name}", file, failure);
            }
        }

        return files;
    }

    private static void Feed(List<EventFile> inputs, QueryExecution execution, TextWriter errors, CancellationToken cancel)
    {
        var files = inputs.FindAll(f => f.MoveNext());
        var progress = new Progress(errors);
        for (long count = 0; files.Count > 0; count++)
        {
            var next = files[0];
            for (var index = 1; index < files.Count; index++)
            {
                if (files[index].ArrivalTicks < next.ArrivalTicks)
                    next = files[index];
            }

            execution.PostAt(next.Ordinal, next.ArrivalTicks, next.Event.Span);
            if (!next.MoveNext())
                files.Remove(next);
            if (count % 4096 != 0)
                continue;
            cancel.ThrowIfCancellationRequested();
            progress.Show($"{count:N0} events, {files.Sum(f => f.ReadBytes) / 1048576:N0} of {files.Sum(f => f.TotalBytes) / 1048576:N0} MiB");
        }

        execution.Complete();
        progress.End();
    }

    private List<EventTimeReader> Clocks(CompiledQuery query, int ordinal)
    {
        if (ArrivalField is not null)
            return [EventTimeReader.ForField(ArrivalField)];
        var clocks = new List<EventTimeReader> { EventTimeReader.ForField("EventEnqueuedUtcTime") };
        if (EventTimeReader.ForTimestampBy(query, ordinal) is { } timestampBy)
            clocks.Add(timestampBy);
        return clocks;
    }
}

/// <summary>Readings of a data folder by arrival, µs: from (<see cref="RecordedRun.Beginning"/>: the oldest) to before to.</summary>
internal sealed record RecordedRange(string Folder, string? Config, long From, long To);
