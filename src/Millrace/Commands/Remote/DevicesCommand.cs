using System.CommandLine;
using System.Text;
using System.Text.Json;

namespace Millrace.Commands.Remote;

/// <summary><c>millrace devices</c>: the register of a running server.</summary>
internal static class DevicesCommand
{
    /// <summary>Lines of a JSON import that go in one request, well below the server's limit of a body.</summary>
    private const int ImportBatch = 5000;

    private const int PageMax = 1000;

    public static Command Create()
    {
        var server = ServerApi.ServerOption();
        server.Recursive = true;
        return new Command("devices", "Add, list, import and remove devices, and issue their tokens.")
        {
            server, Add(server), List(server), Import(server), Remove(server), Erase(server), Token(server),
        };
    }

    private static Command Add(Option<string> server)
    {
        var id = Id();
        var name = new Option<string?>("--name") { Description = "a name for people" };
        var type = new Option<string?>("--type") { Description = "device type" };
        var tags = new Option<string[]>("--tag") { Description = "a tag; may be repeated" };
        var attributes = new Option<string[]>("--attribute") { Description = "NAME=VALUE; may be repeated" };
        var command = new Command("add", "Add a device, or change the one with this id.") { id, name, type, tags, attributes };
        command.SetAction(async (parsed, cancel) =>
        {
            using var api = ServerApi.Open(parsed, server);
            var body = DeviceJson(
                parsed.GetValue(id)!, parsed.GetValue(name), parsed.GetValue(type), parsed.GetValue(tags) ?? [], parsed.GetValue(attributes) ?? []);
            var device = await api.PostAsync("api/v1/devices", body, cancel);
            Console.Write(Table([device]));
            return ExitCode.Done;
        });
        return command;
    }

    private static Command List(Option<string> server)
    {
        var search = new Option<string?>("--search") { Description = "part of the id or name" };
        var tag = new Option<string?>("--tag") { Description = "only devices with this tag" };
        var type = new Option<string?>("--type") { Description = "only devices of this type" };
        var silent = new Option<string?>("--silent") { Description = "only devices not heard for so long: 90s, 15m, 2h, 1d" };
        var limit = new Option<int>("--limit") { Description = "devices to show; 0 is all", DefaultValueFactory = _ => 100 };
        var command = new Command("list", "List devices.") { search, tag, type, silent, limit };
        command.SetAction(async (parsed, cancel) =>
        {
            using var api = ServerApi.Open(parsed, server);
            var left = parsed.GetValue(limit) is > 0 and var limited ? limited : int.MaxValue;
            string? after = null;
            var shown = 0;
            do
            {
                var query = Query(
                    ("search", parsed.GetValue(search)), ("tag", parsed.GetValue(tag)), ("type", parsed.GetValue(type)),
                    ("silent", parsed.GetValue(silent)), ("after", after), ("limit", Math.Min(left, PageMax).ToString()));
                var page = await api.GetAsync("api/v1/devices" + query, cancel);
                var devices = page.Items("devices").ToList();
                Console.Write(Table(devices));
                (shown, left) = (shown + devices.Count, left - devices.Count);
                after = page.Show("next");
            }
            while (after.Length > 0 && left > 0);

            Console.WriteLine(after.Length > 0 ? $"{shown} devices; there are more: --limit 0 shows all" : $"{shown} devices");
            return ExitCode.Done;
        });
        return command;
    }

    private static Command Import(Option<string> server)
    {
        var file = new Argument<string>("FILE") { Description = "CSV with a header line (id,name,type,tags,…), a JSON array, or JSON lines; - reads stdin" };
        var command = new Command("import", "Add many devices from a file.") { file };
        command.SetAction(async (parsed, cancel) =>
        {
            using var api = ServerApi.Open(parsed, server);
            var path = parsed.GetValue(file)!;
            string text;
            try
            {
                text = path == "-" ? await Console.In.ReadToEndAsync(cancel) : await File.ReadAllTextAsync(path, cancel);
            }
            catch (FileNotFoundException e)
            {
                throw new CommandException($"{path} is not there; give a CSV or JSON file, or - for standard input", e);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                throw new CommandException($"{path}: {e.Message}", e);
            }

            var (added, changed, rejected, offset) = (0L, 0L, 0L, 0L);
            foreach (var (body, isCsv, rows) in ImportBodies(text))
            {
                using var content = new StringContent(body, Encoding.UTF8, isCsv ? "text/csv" : "application/json");
                var result = await api.SendAsync(HttpMethod.Post, "api/v1/devices/import", content, cancel);
                added += result.Number("added");
                changed += result.Number("changed");
                foreach (var refusal in result.Items("rejected"))
                {
                    rejected++;
                    await Console.Error.WriteLineAsync($"{path}: entry {offset + refusal.Number("index") + 1}: {refusal.Show("reason")}");
                }

                offset += rows;
            }

            Console.WriteLine($"{added} added, {changed} changed, {rejected} rejected");
            return rejected == 0 ? ExitCode.Done : ExitCode.Failed;
        });
        return command;
    }

    private static Command Remove(Option<string> server)
    {
        var ids = new Argument<string[]>("ID") { Description = "devices to remove", Arity = ArgumentArity.OneOrMore };
        var command = new Command("remove", "Remove devices; their ids stay blocked until they are added again.") { ids };
        command.SetAction(async (parsed, cancel) =>
        {
            using var api = ServerApi.Open(parsed, server);
            foreach (var id in parsed.GetValue(ids)!)
            {
                await api.DeleteAsync($"api/v1/devices/{Uri.EscapeDataString(id)}", cancel);
                Console.WriteLine($"{id} removed");
            }

            return ExitCode.Done;
        });
        return command;
    }

    private static Command Erase(Option<string> server)
    {
        var ids = new Argument<string[]>("ID") { Description = "devices to erase", Arity = ArgumentArity.OneOrMore };
        var command = new Command("erase", "Remove devices and take their readings out of the history; tells how many are left, which is none.") { ids };
        command.SetAction(async (parsed, cancel) =>
        {
            using var api = ServerApi.Open(parsed, server);
            var left = 0L;
            foreach (var id in parsed.GetValue(ids)!)
            {
                var erased = await api.DeleteAsync($"api/v1/devices/{Uri.EscapeDataString(id)}?erase=true", cancel);
                Console.WriteLine(
                    $"{id} erased: {erased.Show("readings")} readings in {erased.Show("files")} files, {erased.Show("remaining")} left; the log forgets by {erased.Show("logUntil")}");
                left += erased.Number("remaining");
                foreach (var file in erased.GetProperty("unread").EnumerateArray())
                {
                    Console.Error.WriteLine($"millrace: {file.GetString()} is damaged: whether it holds readings of {id} cannot be told; restore it from a backup and erase again, or delete it");
                    left++;
                }
            }

            return left == 0 ? ExitCode.Done : ExitCode.Failed;
        });
        return command;
    }

    private static Command Token(Option<string> server)
    {
        var id = Id();
        var command = new Command("token", "Issue a device's token, replacing the old one; it is shown this once.") { id };
        command.SetAction(async (parsed, cancel) =>
        {
            using var api = ServerApi.Open(parsed, server);
            var issued = await api.PostAsync($"api/v1/devices/{Uri.EscapeDataString(parsed.GetValue(id)!)}/token", "{}", cancel);
            Console.WriteLine(issued.Show("token"));
            return ExitCode.Done;
        });
        return command;
    }

    internal static string DeviceJson(string id, string? name, string? type, string[] tags, string[] attributes)
    {
        using var bytes = new MemoryStream();
        using (var json = new Utf8JsonWriter(bytes))
        {
            json.WriteStartObject();
            json.WriteString("id", id);
            if (name is not null)
                json.WriteString("name", name);
            if (type is not null)
                json.WriteString("type", type);
            if (tags.Length > 0)
            {
                json.WriteStartArray("tags");
                foreach (var tag in tags)
                    json.WriteStringValue(tag);
                json.WriteEndArray();
            }

            if (attributes.Length > 0)
            {
                json.WriteStartObject("attributes");
                foreach (var attribute in attributes)
                {
                    var equals = attribute.IndexOf('=', StringComparison.Ordinal);
                    if (equals <= 0)
                        throw new UsageException([$"--attribute {attribute} is not NAME=VALUE"]);
                    json.WriteString(attribute[..equals], attribute[(equals + 1)..]);
                }

                json.WriteEndObject();
            }

            json.WriteEndObject();
        }

        return Encoding.UTF8.GetString(bytes.ToArray());
    }

    /// <summary>The requests that a file becomes: CSV keeps its header line in each, JSON lines become arrays.</summary>
    internal static IEnumerable<(string Body, bool IsCsv, int Rows)> ImportBodies(string text)
    {
        var start = text.AsSpan().TrimStart();
        if (start.StartsWith("["))
        {
            yield return (text, false, 0);
            yield break;
        }

        var lines = text.Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
        var isJson = start.StartsWith("{");
        var header = isJson ? null : lines.FirstOrDefault();
        foreach (var batch in lines.Skip(isJson ? 0 : 1).Chunk(ImportBatch))
            yield return (isJson ? $"[{string.Join(',', batch)}]" : $"{header}\n{string.Join('\n', batch)}\n", !isJson, batch.Length);
    }

    private static string Table(IEnumerable<JsonElement> devices)
    {
        var table = new TextTable("id", "name", "type", "tags", "last seen", "token");
        foreach (var device in devices)
        {
            table.Add(
                device.Show("id"), device.Show("name"), device.Show("type"), device.Show("tags"),
                device.Show("lastSeen") is { Length: > 0 } seen ? seen : "never", device.Show("hasToken") == "true" ? "yes" : "");
        }

        return table.ToString();
    }

    private static string Query(params (string Name, string? Value)[] parts) =>
        "?" + string.Join('&', parts.Where(part => !string.IsNullOrEmpty(part.Value)).Select(part => $"{part.Name}={Uri.EscapeDataString(part.Value!)}"));

    private static Argument<string> Id() => new("ID") { Description = "the device's id" };
}
