using System.CommandLine;
using System.Globalization;
using System.Text.Json;

namespace Millrace.Commands.Remote;

/// <summary><c>millrace status</c>: how a running server stands.</summary>
internal static class StatusCommand
{
    public static Command Create()
    {
        var server = ServerApi.ServerOption();
        var raw = new Option<bool>("--json") { Description = "the server's answer as it is" };
        var command = new Command("status", "Show how a running server stands: books per listener, log, views.") { server, raw };
        command.SetAction(async (parsed, cancel) =>
        {
            using var api = ServerApi.Open(parsed, server);
            var status = await api.GetAsync("api/v1/status", cancel);
            Console.Write(parsed.GetValue(raw) ? status.GetRawText() + "\n" : Text(status));
            return status.TryGetProperty("log", out var log) && log.Show("state") is "failed" or "full" ? ExitCode.Failed : ExitCode.Done;
        });
        return command;
    }

    public static string Text(JsonElement status)
    {
        var uptime = TimeSpan.FromSeconds(status.Number("uptimeSeconds"));
        var log = status.TryGetProperty("log", out var l) ? l : default;
        var machine = status.TryGetProperty("process", out var p) ? p : default;
        var disk = status.TryGetProperty("disk", out var d) ? d : default;
        var text = new StringWriter(CultureInfo.InvariantCulture);
        text.WriteLine($"version {status.Show("version")}, up {uptime:d\\.hh\\:mm\\:ss}, security mode {status.Show("mode")}, {status.Number("devices"):N0} devices");
        text.WriteLine($"memory {Bytes(machine.Number("memoryBytes"))}, disk {Bytes(disk.Number("freeBytes"))} free of {Bytes(disk.Number("totalBytes"))}, data in {disk.Show("folder")}");
        text.WriteLine($"log {log.Show("state")}{(log.Show("detail") is { Length: > 0 } detail ? $": {detail}" : "")}, "
            + $"{log.Items("partitions").Sum(one => one.Number("next") - one.Number("oldest")):N0} readings in {log.Items("partitions").Count()} partitions");
        foreach (var endpoint in status.Members("endpoints"))
            text.WriteLine($"listening {endpoint.Name} on {endpoint.Value.GetString()}");

        text.WriteLine();
        var books = new TextTable("listener", "received", "stored", "rejected", "dropped", "in flight", "stored since the folder was made");
        foreach (var listener in status.Items("listeners"))
        {
            var totals = listener.TryGetProperty("totals", out var t) ? t : default;
            books.Add(
                listener.Show("name"), Count(listener.Number("received")), Count(listener.Number("stored")), Count(Sum(listener, "rejected")),
                Count(Sum(listener, "dropped")), Count(listener.Number("inFlight")), Count(totals.Number("stored")));
        }

        text.Write(books);
        foreach (var listener in status.Items("listeners"))
        {
            foreach (var kind in (string[])["rejected", "dropped"])
            {
                foreach (var reason in listener.Members(kind))
                    text.WriteLine($"  {listener.Show("name")} {kind} {reason.Name}: {reason.Value.GetInt64():N0}");
            }
        }

        text.WriteLine();
        var views = new TextTable("view", "state", "lag", "skipped", "last error");
        foreach (var view in status.Items("views"))
            views.Add(view.Show("name"), view.Show("state"), Count(view.Number("lagReadings")), Count(view.Number("skippedReadings")), view.Show("lastError"));
        text.Write(views);
        return text.ToString();
    }

    private static long Sum(JsonElement listener, string kind) => listener.Members(kind).Sum(reason => reason.Value.GetInt64());

    private static string Count(long count) => count.ToString("N0", CultureInfo.InvariantCulture);

    private static string Bytes(long bytes) => bytes >= 10L << 30
        ? string.Create(CultureInfo.InvariantCulture, $"{bytes >> 30} GiB")
        : string.Create(CultureInfo.InvariantCulture, $"{bytes >> 20} MiB");
}
