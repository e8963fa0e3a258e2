using System.CommandLine;
using Millrace.Settings;

namespace Millrace.Commands.Doctor;

/// <summary><c>millrace doctor</c>: whether this machine is fit to serve, and how to mend what is not.</summary>
internal static class DoctorCommand
{
    public static Command Create()
    {
        var config = new Option<string?>("--config") { Description = "settings file, as for serve" };
        var data = new Option<string>("--data") { Description = "data folder, as for serve", DefaultValueFactory = _ => "./data" };
        var set = new Option<string[]>("--set") { Description = "one setting, as for serve; may be repeated" };
        var command = new Command("doctor", "Check ports, disk, kernel limits, clock and permissions; says how to mend each.") { config, data, set };
        command.SetAction(parsed => Run(parsed.GetValue(config), parsed.GetValue(data)!, parsed.GetValue(set) ?? []));
        return command;
    }

    private static int Run(string? config, string data, string[] sets)
    {
        var reader = new OptionReader(ConfigurationSources.Read(config, sets));
        var options = ServerOptions.Read(reader);
        var failed = false;
        foreach (var finding in Examine(options, Path.GetFullPath(data)))
        {
            Console.WriteLine($"{Word(finding.Verdict)}  {finding.Subject,-14} {finding.Text}");
            if (finding.Mend.Length > 0)
                Console.WriteLine($"{"",22}{finding.Mend}");
            failed |= finding.Verdict == Verdict.Fail;
        }

        return failed ? ExitCode.Failed : ExitCode.Done;
    }

    /// <summary>All checks in the order they are told; one that breaks is itself a finding.</summary>
    private static IEnumerable<Finding> Examine(ServerOptions options, string data) =>
    [
        .. NetworkChecks.Ports(options),
        .. DataFolderChecks.Permissions(data),
        .. DataFolderChecks.Disk(data, options.Log.ReserveBytes),
        .. NetworkChecks.ReceiveBuffer(),
        .. MachineChecks.Clock(),
        .. MachineChecks.OpenFiles(options.Tcp.ConnectionsMax),
        .. MachineChecks.Memory(),
    ];

    private static string Word(Verdict verdict) => verdict switch
    {
        Verdict.Ok => "ok  ",
        Verdict.Warn => "warn",
        _ => "FAIL",
    };
}
