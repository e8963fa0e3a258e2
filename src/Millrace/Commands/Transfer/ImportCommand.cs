using System.CommandLine;
using Millrace.Commands.Remote;

namespace Millrace.Commands.Transfer;

/// <summary><c>millrace import</c>: old data files into a running server.</summary>
internal static class ImportCommand
{
    public static Command Create()
    {
        var file = new Argument<string>("FILE") { Description = "a .jsonl, .csv (with a header) or .parquet file" };
        var server = ServerApi.ServerOption();
        var format = new Option<string?>("--format") { Description = "jsonl, csv or parquet (default: by the file's name)" };
        format.AcceptOnlyFromAmong("jsonl", "csv", "parquet");
        var id = new Option<string?>("--id") { Description = "column or member with the device's id (default: id, deviceId or device)" };
        var time = new Option<string?>("--time") { Description = "column or member with the device's time, ISO 8601 or Unix s or ms (default: time, timestamp or ts)" };
        var state = new Option<string?>("--state") { Description = "where it is kept how far the import has come (default: FILE.import)" };
        var command = new Command(
            "import", "Send the rows of a file to a running server as readings. Broken off, the same command goes on where it was and sends nothing twice.")
        {
            file, server, format, id, time, state,
        };
        command.SetAction(async (parsed, cancel) =>
        {
            var path = parsed.GetValue(file)!;
            if (!File.Exists(path))
                throw new CommandException($"{path} is not there");
            var wish = new ImportWish(
                path, parsed.GetValue(format) ?? FormatOf(path), parsed.GetValue(server)!, new RowMapping(parsed.GetValue(id), parsed.GetValue(time)),
                parsed.GetValue(state) ?? path + ".import");
            using var api = ServerApi.Open(parsed, server);
            try
            {
                return await new ImportRun(wish, api, Console.Out, Console.Error).RunAsync(cancel);
            }
            catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
            {
                throw new CommandException(failure.Message, failure);
            }
        });
        return command;
    }

    private static string FormatOf(string path) => Path.GetExtension(path).ToLowerInvariant() switch
    {
        ".csv" => "csv",
        ".parquet" => "parquet",
        ".jsonl" or ".ndjson" or ".json" => "jsonl",
        _ => throw new UsageException([$"what {path} holds is not told by its name: give --format jsonl, csv or parquet"]),
    };
}
