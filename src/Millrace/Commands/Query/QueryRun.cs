using System.Diagnostics;
using Millrace.StreamSql;

namespace Millrace.Commands.Query;

/// <summary><c>millrace query run</c>: events from files, merged by arrival, rows to files.</summary>
internal sealed class QueryRun
{
    private static readonly TimeSpan ProgressInterval = TimeSpan.FromSeconds(1);

    public required string File { get; init; }

    public required List<(string Name, string File)> Inputs { get; init; }

    public required List<(string Name, string File)> References { get; init; }

    public required string OutputFolder { get; init; }

    public string? ArrivalField { get; init; }

    public TimeSpan LateArrival { get; init; }

    public TimeSpan OutOfOrder { get; init; }

    public bool Drops { get; init; }

    public int Run(TextWriter output, TextWriter errors, CancellationToken cancel)
    {
        var text = QueryCheck.ReadScript(File);
        var compiled = StreamQuery.Compile(text, new CompileOptions
        {
            Inputs = [.. Inputs.Select(i => i.Name)],
            References = [.. References.Select(r => r.Name)],
            LateArrival = LateArrival,
            OutOfOrder = OutOfOrder,
            Policy = Drops ? OrderPolicy.Drop : OrderPolicy.Adjust,
        });
        foreach (var error in compiled.Errors)
            QueryErrors.Write(errors, File, text, error);
        foreach (var warning in compiled.Warnings)
            QueryErrors.Write(errors, File, text, warning, "warning: ");
        if (compiled.Query is not { } query)
            return ExitCode.Failed;

        try
        {
            using var rows = new RowFiles(OutputFolder, query.Outputs);
            var execution = query.Start(rows);
            foreach (var (name, file) in References)
                execution.SetReference(name, ReferenceFile.Read(file));
            Feed(query, execution, errors, cancel);
            var counters = execution.Counters;
            output.WriteLine(
                $"{counters.Events} events, {counters.Rows} rows, bad {counters.Bad}, late {counters.Late}, "
                + $"early {counters.Early}, out of order {counters.OutOfOrder}");
            return ExitCode.Done;
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException or ArgumentException or InvalidDataException)
        {
            throw new CommandException(failure.Message, failure);
        }
    }

    private void Feed(CompiledQuery query, QueryExecution execution, TextWriter errors, CancellationToken cancel)
    {
        var files = new List<EventFile>();
        try
        {
            foreach (var (name, file) in Inputs)
            {
                // An input that no query reads is not an error: its file is simply not needed.
                if (query.InputOrdinal(name) is >= 0 and var ordinal)
                    files.Add(new EventFile(file, ordinal, Clocks(query, ordinal)));
            }

            files.RemoveAll(f => !f.MoveNext());
            var shows = !Console.IsErrorRedirected;
            var watch = Stopwatch.StartNew();
            var shown = TimeSpan.Zero;
            for (long count = 0; files.Count > 0; count++)
            {
                var next = files[0];
                for (var index = 1; index < files.Count; index++)
                {
                    if (files[index].ArrivalTicks < next.ArrivalTicks)
                        next = files[index];
                }

                execution.PushAt(next.Ordinal, next.ArrivalTicks, next.Event.Span);
                if (!next.MoveNext())
                {
                    next.Dispose();
                    files.Remove(next);
                }

                if (count % 4096 != 0)
                    continue;
                cancel.ThrowIfCancellationRequested();
                if (!shows || watch.Elapsed - shown < ProgressInterval)
                    continue;
                shown = watch.Elapsed;
                errors.Write($"\r{count:N0} events, {files.Sum(f => f.ReadBytes) / 1048576:N0} of {files.Sum(f => f.TotalBytes) / 1048576:N0} MiB ");
            }

            execution.Complete();
            if (shown > TimeSpan.Zero)
                errors.WriteLine();
        }
        finally
        {
            foreach (var file in files)
                file.Dispose();
        }
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
