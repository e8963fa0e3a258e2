using System.CommandLine;
using Millrace.Load.Scenarios;

namespace Millrace.Load;

/// <summary>One measurement with a name on the command line.</summary>
internal sealed record Scenario(string Name, string Description, Func<Bench, Task> RunAsync)
{
    public static IReadOnlyList<Scenario> All { get; } =
    [
        new("udp", "Highest UDP rate at which nothing is lost, beside a bare recvmmsg sink in C.", UdpRate.RunAsync),
        new("json", "Share of a core that 33,334 readings/s of 430-byte JSON cost.", JsonShare.RunAsync),
        new("stall", "A disk that stands still for a second under 33,334 readings/s (needs root).", DiskStall.RunAsync),
        new("posts", "Durable HTTP posts beside the same server without flushing, and raw writes of the same bytes.", HttpPosts.RunAsync),
        new("jobs", "Four jobs at once over 33,334 readings/s in posts of 100, and the time from a post to a webhook.", LiveJobs.RunAsync),
        new("reads", "GET /get_data/{id} beside nginx serving a file of the same size.", Reads.RunAsync),
        new("memory", "Start time, idle memory, and memory with a million devices.", MemoryUse.RunAsync),
        new("restart", "Restart after SIGKILL with a large log and a million devices.", Restart.RunAsync),
        new("crash", "33,334 readings/s of 100,000 devices over TCP with three SIGKILLs, balanced against the log's dump.", CrashRun.RunAsync),
    ];

    public Command ToCommand(Func<Scenario, ParseResult, Task> run)
    {
        var command = new Command(Name, Description);
        command.SetAction((parsed, _) => run(this, parsed));
        return command;
    }
}
