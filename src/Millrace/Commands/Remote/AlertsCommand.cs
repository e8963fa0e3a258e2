using System.CommandLine;
using System.Text.Json;

namespace Millrace.Commands.Remote;

/// <summary><c>millrace alerts</c>: what a running server has raised.</summary>
internal static class AlertsCommand
{
    public static Command Create()
    {
        var server = ServerApi.ServerOption();
        server.Recursive = true;
        return new Command("alerts", "List and acknowledge alerts.") { server, List(server), Acknowledge(server) };
    }

    private static Command List(Option<string> server)
    {
        var state = new Option<string>("--state") { Description = "open, raised, acknowledged, cleared or all", DefaultValueFactory = _ => "open" };
        var rule = new Option<string?>("--rule") { Description = "only this rule" };
        var device = new Option<string?>("--device") { Description = "only alerts about this device" };
        var limit = new Option<int>("--limit") { Description = "alerts to show, newest first", DefaultValueFactory = _ => 100 };
        var raw = new Option<bool>("--json") { Description = "the server's answer as it is" };
        var command = new Command("list", "List alerts, newest first.") { state, rule, device, limit, raw };
        command.SetAction(async (parsed, cancel) =>
        {
            using var api = ServerApi.Open(parsed, server);
            var query = $"?state={Uri.EscapeDataString(parsed.GetValue(state)!)}&limit={parsed.GetValue(limit)}"
                + (parsed.GetValue(rule) is { } r ? $"&rule={Uri.EscapeDataString(r)}" : "")
                + (parsed.GetValue(device) is { } d ? $"&device={Uri.EscapeDataString(d)}" : "");
            var page = await api.GetAsync("api/v1/alerts" + query, cancel);
            Console.Write(parsed.GetValue(raw) ? page.GetRawText() + "\n" : Table(page.Items("alerts")));
            return ExitCode.Done;
        });
        return command;
    }

    private static Command Acknowledge(Option<string> server)
    {
        var id = new Argument<long>("ID") { Description = "the alert's number, from the list" };
        var note = new Option<string?>("--note") { Description = "what is being done about it" };
        var command = new Command("acknowledge", "Say that somebody knows; repeats stop.") { id, note };
        command.SetAction(async (parsed, cancel) =>
        {
            using var api = ServerApi.Open(parsed, server);
            var body = JsonSerializer.Serialize(new { note = parsed.GetValue(note) });
            var alert = await api.PostAsync($"api/v1/alerts/{parsed.GetValue(id)}/acknowledge", body, cancel);
            Console.Write(Table([alert]));
            return ExitCode.Done;
        });
        return command;
    }

    private static string Table(IEnumerable<JsonElement> alerts)
    {
        var table = new TextTable("id", "state", "severity", "rule", "device", "raised", "last", "rows", "message");
        foreach (var alert in alerts)
        {
            table.Add(
                alert.Show("id"), alert.Show("state"), alert.Show("severity"), alert.Show("rule"), alert.Show("device"), alert.Show("raisedAt"),
                alert.Show("lastAt"), alert.Show("rows"), alert.Show("message"));
        }

        return table.ToString();
    }
}
