using System.CommandLine;
using System.CommandLine.Parsing;
using Millrace.Commands;
using Millrace.Core;

var root = new RootCommand("Millrace: takes readings from meters, never loses one it has acknowledged, and shows them.");
foreach (var command in CommandList.All())
    root.Subcommands.Add(command);

var parsed = root.Parse(args.Length == 0 ? ["serve"] : args);
if (parsed.Errors.Count > 0)
{
    // The last one says what stands there; an earlier one may only say what was expected in its place.
    var message = string.Join(' ', parsed.Errors[^1].Message.Split((char[])['\r', '\n', '\t', ' '], StringSplitOptions.RemoveEmptyEntries));
    Console.Error.WriteLine($"millrace: {message.TrimEnd('.')}; see millrace {string.Concat(NamesOf(parsed.CommandResult).Select(name => name + " "))}--help");
    return ExitCode.WrongUsage;
}

try
{
    // Signals are the commands' own business: serve drains, the others simply end. Left to itself the library would end serve two seconds after
    // SIGTERM, in the middle of saving.
    return await parsed.InvokeAsync(new InvocationConfiguration { EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = null });
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

static IEnumerable<string> NamesOf(CommandResult command) =>
    command.Parent is CommandResult parent ? NamesOf(parent).Append(command.Command.Name) : [];
