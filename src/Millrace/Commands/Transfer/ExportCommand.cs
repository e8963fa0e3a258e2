using System.CommandLine;

namespace Millrace.Commands.Transfer;

/// <summary><c>millrace export</c>: readings of a data folder as files for others.</summary>
internal static class ExportCommand
{
    public static Command Create()
    {
        var data = new Option<string>("--data") { Description = "the server's data folder; the server may be running", DefaultValueFactory = _ => "./data" };
        var config = DataFolders.Config();
        var output = new Option<string>("--output") { Description = "the file to write; with --format parquet a folder of part files", Required = true };
        var format = new Option<string>("--format") { Description = "jsonl, csv or parquet", DefaultValueFactory = _ => "jsonl" };
        format.AcceptOnlyFromAmong("jsonl", "csv", "parquet");
        var from = new Option<string?>("--from") { Description = $"first arrival, {Times.Meaning} (default: the oldest reading)" };
        var to = new Option<string?>("--to") { Description = "arrivals before this (default: all that is there now)" };
        var device = new Option<string[]>("--device") { Description = "only this device; may be repeated" };
        var fields = new Option<string[]>("--fields")
        {
            Description = "with --format csv: a column for each of these members of the payload, instead of one with the whole; a dot goes into objects",
            AllowMultipleArgumentsPerToken = true,
        };
        var command = new Command("export", "Write recorded readings to files, in order of arrival. Broken off, the same command goes on where it was.")
        {
            data, config, output, format, from, to, device, fields,
        };
        command.SetAction((parsed, cancel) =>
        {
            var wish = new ExportWish(
                parsed.GetValue(format)!, Times.Parse("--from", parsed.GetValue(from), long.MinValue), Times.Parse("--to", parsed.GetValue(to), long.MaxValue),
                parsed.GetValue(device) ?? [], [.. (parsed.GetValue(fields) ?? []).SelectMany(list => list.Split(',', StringSplitOptions.RemoveEmptyEntries))]);
            if (wish.From >= wish.To)
                throw new UsageException([$"--from {parsed.GetValue(from)} is not before --to {parsed.GetValue(to)}"]);
            if (wish.Fields.Count > 0 && wish.Format != "csv")
                throw new UsageException(["--fields are the columns of --format csv; the other formats have every member"]);
            try
            {
                var history = DataFolders.OpenHistory(parsed.GetValue(data)!, parsed.GetValue(config));
                using var connection = history as IDisposable;
                return Task.FromResult(new ExportRun(parsed.GetValue(data)!, history, parsed.GetValue(output)!, wish, Console.Out, Console.Error).Run(cancel));
            }
            catch (Exception failure) when (failure is IOException or UnauthorizedAccessException or InvalidDataException)
            {
                throw new CommandException($"{failure.Message}; the same command goes on where it was", failure);
            }
        });
        return command;
    }
}
