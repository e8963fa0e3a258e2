using System.CommandLine;
using Millrace.Commands;
using Millrace.Core;

var root = new RootCommand("Millrace: takes readings from meters, never loses one it has acknowledged, and shows them.");
foreach (var command in CommandList.All())
    root.Subcommands.Add(command);

var parsed = root.Parse(args.Length == 0 ? ["serve"] : args);
if (parsed.Errors.Count > 0)
{
    foreach (var error in parsed.Errors)
        Console.Error.WriteLine($"millrace: {error.Message}");
    Console.Error.WriteLine("millrace: see millrace --help");
    return ExitCode.WrongUsage;
}

try
{
    // Signals are the commands' own business: serve drains, the others simply end.
    return await parsed.InvokeAsync(new InvocationConfiguration { EnableDefaultExceptionHandler = false });
}
catch (UsageException e)
{
    foreach (var line in e.Errors)
        Console.Error.WriteLine($"millrace: {line}");
    return ExitCode.WrongUsage;
}
catch (Exception e) when (e is StartException or CommandException)
{
    Console.Error.WriteLine($"millrace: {e.Message}");
    return ExitCode.Failed;
}
