using System.CommandLine;

namespace Millrace.Commands;

/// <summary><c>millrace serve</c>: runs the server until SIGTERM or Ctrl-C.</summary>
internal static class ServeCommand
{
    public static Command Create()
    {
        var config = new Option<string?>("--config") { Description = "settings: a JSON file, or the server.config INI of the NB-IoT server" };
        var data = new Option<string>("--data") { Description = "folder for everything the server keeps", DefaultValueFactory = _ => "./data" };
        var demo = new Option<bool>("--demo") { Description = "start a small simulated fleet in the same process" };
        var set = new Option<string[]>("--set") { Description = "one setting, Section:Key=Value; may be repeated", AllowMultipleArgumentsPerToken = false };
        var command = new Command("serve", "Run the server (also what millrace does without a command).") { config, data, demo, set };
        command.SetAction((parsed, cancel) => RunAsync(
            parsed.GetValue(config), parsed.GetValue(data)!, parsed.GetValue(demo), parsed.GetValue(set) ?? [], cancel));
        return command;
    }

    private static async Task<int> RunAsync(string? config, string data, bool demo, string[] sets, CancellationToken cancel)
    {
        await Task.CompletedTask.WaitAsync(cancel);
        _ = (config, data, demo, sets);
        return ExitCode.Failed;
    }
}
