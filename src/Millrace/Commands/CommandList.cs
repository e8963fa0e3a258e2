using System.CommandLine;
using Millrace.Commands.Simulate;

namespace Millrace.Commands;

/// <summary>Every command of the program, one line each.</summary>
internal static class CommandList
{
    public static IEnumerable<Command> All() =>
    [
        ServeCommand.Create(),
        SimulateCommand.Create(),
        SettingsCommand.Create(),
    ];
}
