using System.CommandLine;
using Millrace.Commands.Backup;
using Millrace.Commands.Doctor;
using Millrace.Commands.Query;
using Millrace.Commands.Remote;
using Millrace.Commands.Simulate;
using Millrace.Commands.Transfer;

namespace Millrace.Commands;

/// <summary>Every command of the program, one line each.</summary>
internal static class CommandList
{
    public static IEnumerable<Command> All() =>
    [
        ServeCommand.Create(),
        SimulateCommand.Create(),
        DevicesCommand.Create(),
        AlertsCommand.Create(),
        StatusCommand.Create(),
        DoctorCommand.Create(),
        QueryCommand.Create(),
        ExportCommand.Create(),
        ImportCommand.Create(),
        BackupCommand.Backup(),
        BackupCommand.Restore(),
        LogCommand.Create(),
        SettingsCommand.Create(),
    ];
}
