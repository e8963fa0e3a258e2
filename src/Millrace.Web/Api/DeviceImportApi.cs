using System.Text;
using System.Text.Json;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Millrace.Core;
using Millrace.Listeners.Http;
using Millrace.Web.Hosting;
using Millrace.Web.Security;

namespace Millrace.Web.Api;

/// <summary>Adds many devices at once, from JSON or CSV.</summary>
internal sealed class DeviceImportApi(ServerState state)
{
    private const int RejectedListed = 1000;

    public void Map(IEndpointRouteBuilder routes) =>
        routes.Map("POST", "/api/v1/devices/import", ImportAsync, new ApiOperation("Devices", "Add many devices", Role.Operate)
        {
            Body = BodyKind.JsonOrCsv,
            Answer = "{\"added\",\"changed\",\"rejected\":[{\"index\",\"reason\"}]}. CSV: a header line with id, name, type, tags (separated by ;); other columns become attributes.",
            Example = """[{"id":"AABB01","name":"Boiler room","tags":["north"]}]""",
        });

    private async Task ImportAsync(HttpContext context)
    {
        var isCsv = context.Request.ContentType?.StartsWith("text/csv", StringComparison.OrdinalIgnoreCase) == true;
        var result = new ImportResult();
        var limit = (int)Math.Min(state.Options.BodyBytesMax, int.MaxValue);
        if (isCsv)
        {
            var bytes = await JsonBody.ReadBytesAsync(context, limit);
            if (bytes is null)
                return;
            var rows = CsvRows.Parse(Encoding.UTF8.GetString(bytes.AsSpan().StartsWith("\uFEFF"u8) ? bytes.AsSpan(3) : bytes)).ToList();
            if (rows.Count == 0 || !rows[0].Contains("id", StringComparer.OrdinalIgnoreCase))
            {
                await Problem.BadRequestAsync(context, "The first line has no column 'id'.", "Begin with a header line such as id,name,type,tags.");
                return;
            }

            ReadRows(rows, result);
        }
        else
        {
            using var body = await JsonBody.ReadAsync(context, limit);
            if (body is null)
                return;
            var list = body.RootElement;
            if (list.ValueKind == JsonValueKind.Object && list.TryGetProperty("devices", out var inner))
                list = inner;
            if (list.ValueKind != JsonValueKind.Array)
            {
                await Problem.BadRequestAsync(context, "The body is neither an array of devices nor {\"devices\":[…]}.");
                return;
            }

            var index = 0;
            foreach (var item in list.EnumerateArray())
                Read(item, index++, result);
        }

        result.Added = state.Parts.Registry.AddRange(context.Who().Tenant, result.Devices);
        state.Parts.Tokens.Audit(context.Who(), "device.import", $"{result.Added} added, {result.Changed} changed, {result.RejectedCount} rejected");
        await Answer.WriteAsync(context, result.Write);
    }

    private static void ReadRows(List<string[]> rows, ImportResult result)
    {
        var header = rows[0];
        for (var i = 1; i < rows.Count; i++)
        {
            if (rows[i].Length != header.Length)
            {
                result.Reject(i - 1, $"the line has {rows[i].Length} fields and the header {header.Length}");
                continue;
            }

            using var device = JsonDocument.Parse(ToJson(header, rows[i]));
            Read(device.RootElement, i - 1, result);
        }
    }

    /// <summary>One line as the object that JSON import would have brought; empty fields are left out.</summary>
    private static ReadOnlyMemory<byte> ToJson(string[] header, string[] row)
    {
        var bytes = new System.Buffers.ArrayBufferWriter<byte>();
        using var json = new Utf8JsonWriter(bytes);
        json.WriteStartObject();
        var others = new SortedDictionary<string, string>(StringComparer.Ordinal);
        for (var i = 0; i < header.Length; i++)
        {
            var name = header[i].Trim().ToLowerInvariant();
            if (row[i].Length == 0)
                continue;
            if (name is "id" or "name" or "type")
                json.WriteString(name, row[i].Trim());
            else if (name == "tags")
                WriteTags(json, row[i]);
            else
                others[header[i].Trim()] = row[i];
        }

        if (others.Count > 0)
        {
            json.WriteStartObject("attributes"u8);
            foreach (var (name, value) in others)
                json.WriteString(name, value);
            json.WriteEndObject();
        }

        json.WriteEndObject();
        json.Flush();
        return bytes.WrittenMemory;
    }

    private static void WriteTags(Utf8JsonWriter json, string tags)
    {
        json.WriteStartArray("tags"u8);
        foreach (var tag in tags.Split(';', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries))
            json.WriteStringValue(tag);
        json.WriteEndArray();
    }

    private static void Read(JsonElement item, int index, ImportResult result)
    {
        if (item.ValueKind != JsonValueKind.Object || !item.TryText("id", out var id) || id is null || !RouteValues.IsDeviceId(id))
        {
            result.Reject(index, "'id' is missing or no device id");
            return;
        }

        if (!DeviceText.TryRead(item, out var change, out var fault))
        {
            result.Reject(index, fault);
            return;
        }

        result.Devices.Add((id, change));
    }

    private sealed class ImportResult
    {
        private readonly List<(int Index, string Reason)> _rejected = [];

        public int Added { get; set; }

        public int Changed => Devices.Count - Added;

        /// <summary>What will be added or changed, in one transaction.</summary>
        public List<(string Id, DeviceChange Change)> Devices { get; } = [];

        public int RejectedCount { get; private set; }

        public void Reject(int index, string reason)
        {
            RejectedCount++;
            if (_rejected.Count < RejectedListed)
                _rejected.Add((index, reason));
        }

        public void Write(Utf8JsonWriter json)
        {
            json.WriteNumber("added"u8, Added);
            json.WriteNumber("changed"u8, Changed);
            json.WriteStartArray("rejected"u8);
            foreach (var (index, reason) in _rejected)
            {
                json.WriteStartObject();
                json.WriteNumber("index"u8, index);
                json.WriteString("reason"u8, reason);
                json.WriteEndObject();
            }

            json.WriteEndArray();
        }
    }
}
