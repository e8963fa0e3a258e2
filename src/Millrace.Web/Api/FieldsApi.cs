using System.Buffers;
using System.Collections.Concurrent;
using System.Text.Json;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Millrace.Codecs;
using Millrace.Core;
using Millrace.Web.Hosting;
using Millrace.Web.Security;

namespace Millrace.Web.Api;

/// <summary>The names of fields that devices send, as seen in the newest readings of some of them.</summary>
internal sealed class FieldsApi(ServerState state)
{
    private const int SampleMax = 500;
    private const int FieldsMax = 500;
    private const int ExampleMax = 40;
    private const int DepthMax = 6;

    private static readonly TimeSpan KeptFor = TimeSpan.FromSeconds(5);

    private readonly ConcurrentDictionary<ushort, (long At, IReadOnlyList<Field> Fields, int Devices)> _kept = new();

    private sealed class Field(string name)
    {
        public string Name { get; } = name;
        public string Kind { get; set; } = "";
        public string Example { get; set; } = "";
        public int Devices { get; set; }
    }

    public void Map(IEndpointRouteBuilder routes) =>
        routes.Map("GET", "/api/v1/fields", ListAsync, new ApiOperation("Readings", "Names of fields seen in the newest readings", Role.Read)
        {
            Answer = "{\"devices\":looked at,\"fields\":[{\"name\",\"kind\":\"number\"|\"text\"|\"boolean\"|\"array\"|\"null\",\"devices\",\"example\"}]}, the commonest first; "
                + "a dot goes into objects.",
        });

    private Task ListAsync(HttpContext context)
    {
        var tenant = context.Who().Tenant;
        var now = state.Parts.Time.Now();
        if (!_kept.TryGetValue(tenant, out var seen) || now - seen.At > KeptFor.TotalMicroseconds)
        {
            var (fields, devices) = Look(tenant);
            _kept[tenant] = seen = (now, fields, devices);
        }

        return Answer.WriteAsync(context, json =>
        {
            json.WriteNumber("devices"u8, seen.Devices);
            json.WriteStartArray("fields"u8);
            foreach (var field in seen.Fields)
            {
                json.WriteStartObject();
                json.WriteString("name"u8, field.Name);
                json.WriteString("kind"u8, field.Kind);
                json.WriteNumber("devices"u8, field.Devices);
                json.WriteString("example"u8, field.Example);
                json.WriteEndObject();
            }

            json.WriteEndArray();
        });
    }

    private (IReadOnlyList<Field> Fields, int Devices) Look(ushort tenant)
    {
        Dictionary<string, Field> fields = new(StringComparer.Ordinal);
        var records = state.Parts.Devices?.Sample(tenant, SampleMax) ?? [];
        var view = new ArrayBufferWriter<byte>(1024);
        foreach (var record in records)
        {
            view.ResetWrittenCount();
            PayloadView.WriteJson(new ReadingRecord(record, 0, 0), view);
            using var json = JsonDocument.Parse(view.WrittenMemory, new JsonDocumentOptions { MaxDepth = 128 });
            Collect(json.RootElement, "", 0, fields);
        }

        return ([.. fields.Values.OrderByDescending(f => f.Devices).ThenBy(f => f.Name, StringComparer.Ordinal)], records.Count);
    }

    private static void Collect(JsonElement value, string path, int depth, Dictionary<string, Field> fields)
    {
        if (value.ValueKind == JsonValueKind.Object && depth < DepthMax)
        {
            foreach (var member in value.EnumerateObject())
                Collect(member.Value, path.Length == 0 ? member.Name : $"{path}.{member.Name}", depth + 1, fields);
            return;
        }

        if (!fields.TryGetValue(path, out var field))
        {
            if (fields.Count == FieldsMax)
                return;
            fields[path] = field = new Field(path);
        }

        field.Devices++;
        if (field.Kind is not ("" or "null") || path.Length == 0)
            return;
        field.Kind = KindOf(value.ValueKind);
        var text = value.ValueKind == JsonValueKind.String ? value.GetString()! : value.GetRawText();
        field.Example = text.Length <= ExampleMax ? text : text[..ExampleMax];
    }

    private static string KindOf(JsonValueKind kind) => kind switch
    {
        JsonValueKind.Number => "number",
        JsonValueKind.String => "text",
        JsonValueKind.True or JsonValueKind.False => "boolean",
        JsonValueKind.Array => "array",
        JsonValueKind.Object => "object",
        _ => "null",
    };
}
