using System.Buffers;
using System.Text.Json;
using System.Text.RegularExpressions;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Millrace.Core;
using Millrace.Listeners.Http;
using Millrace.Web.Hosting;

namespace Millrace.Web.Api;

/// <summary>The API's description, made from the routes themselves, so that it names what is there and nothing else.</summary>
internal sealed partial class OpenApiDocument(ServerState state)
{
    private byte[]? _document;

    public void Map(IEndpointRouteBuilder routes)
    {
        routes.Map("GET", "/openapi/v1.json", context => WriteAsync(context, routes), new ApiOperation("Operations", "This document", Role.Read)
        {
            Answer = "OpenAPI 3.1.",
        });
    }

    [GeneratedRegex("{([a-z]+)}")]
    private static partial Regex PathParameter { get; }

    private Task WriteAsync(HttpContext context, IEndpointRouteBuilder routes)
    {
        _document ??= Build(routes);
        context.Response.ContentType = "application/json";
        context.Response.ContentLength = _document.Length;
        return context.Response.BodyWriter.WriteAsync(_document, context.RequestAborted).AsTask();
    }

    private byte[] Build(IEndpointRouteBuilder routes)
    {
        var bytes = new ArrayBufferWriter<byte>(32 << 10);
        using var json = new Utf8JsonWriter(bytes, new JsonWriterOptions { Encoder = JsonText.WriterOptions.Encoder, Indented = true });
        json.WriteStartObject();
        json.WriteString("openapi"u8, "3.1.0");
        json.WriteStartObject("info"u8);
        json.WriteString("title"u8, "Millrace");
        json.WriteString("version"u8, state.Options.Version);
        json.WriteString("description"u8, "Readings in, readings out. Errors are RFC 9457 problem documents (application/problem+json).");
        json.WriteEndObject();
        json.WriteStartObject("paths"u8);
        var operations = routes.DataSources.SelectMany(s => s.Endpoints).OfType<RouteEndpoint>()
            .Select(e => (Path: "/" + e.RoutePattern.RawText!.TrimStart('/'), Operation: e.Metadata.GetMetadata<ApiOperation>(),
                Method: e.Metadata.GetMetadata<IHttpMethodMetadata>()?.HttpMethods[0] ?? "GET"))
            .Where(o => o.Operation is not null);
        foreach (var path in operations.GroupBy(o => o.Path).OrderBy(g => g.Key, StringComparer.Ordinal))
        {
            json.WriteStartObject(path.Key);
            foreach (var (_, operation, method) in path)
                WriteOperation(json, path.Key, method, operation!);
            json.WriteEndObject();
        }

        json.WriteEndObject();
        WriteComponents(json);
        json.WriteEndObject();
        json.Flush();
        return bytes.WrittenSpan.ToArray();
    }

    private static void WriteOperation(Utf8JsonWriter json, string path, string method, ApiOperation operation)
    {
        json.WriteStartObject(method.ToLowerInvariant());
        json.WriteString("summary"u8, operation.Summary);
        json.WriteStartArray("tags"u8);
        json.WriteStringValue(operation.Tag);
        json.WriteEndArray();
        if (operation.Needs != Role.None)
            json.WriteString("description"u8, $"Needs the role {operation.Needs.ToString().ToLowerInvariant()} in token mode.");
        else if (operation.Body == BodyKind.Telemetry)
            json.WriteString("description"u8, "Needs the device's token, or an API token with the role operate, in token mode.");

        json.WriteStartArray("parameters"u8);
        foreach (Match parameter in PathParameter.Matches(path))
            WriteParameter(json, parameter.Groups[1].Value, "path", null);
        foreach (var (name, meaning) in operation.Query)
            WriteParameter(json, name, "query", meaning);
        json.WriteEndArray();
        if (operation.Body != BodyKind.None)
            WriteBody(json, operation);
        json.WriteStartObject("responses"u8);
        json.WriteStartObject(operation.Status.ToString());
        json.WriteString("description"u8, operation.Answer);
        if (operation.Status != StatusCodes.Status204NoContent)
        {
            json.WriteStartObject("content"u8);
            json.WriteStartObject(operation.AnswerType.Split(';')[0]);
            json.WriteEndObject();
            json.WriteEndObject();
        }

        json.WriteEndObject();
        json.WriteStartObject("default"u8);
        json.WriteString("description"u8, "What is wrong and how to mend it.");
        json.WriteStartObject("content"u8);
        json.WriteStartObject("application/problem+json"u8);
        json.WriteStartObject("schema"u8);
        json.WriteString("$ref"u8, "#/components/schemas/Problem");
        json.WriteEndObject();
        json.WriteEndObject();
        json.WriteEndObject();
        json.WriteEndObject();
        json.WriteEndObject();
        json.WriteEndObject();
    }

    private static void WriteParameter(Utf8JsonWriter json, string name, string place, string? meaning)
    {
        json.WriteStartObject();
        json.WriteString("name"u8, name);
        json.WriteString("in"u8, place);
        json.WriteBoolean("required"u8, place == "path");
        if (meaning is not null)
            json.WriteString("description"u8, meaning);
        json.WriteStartObject("schema"u8);
        json.WriteString("type"u8, "string");
        json.WriteEndObject();
        json.WriteEndObject();
    }

    private static void WriteBody(Utf8JsonWriter json, ApiOperation operation)
    {
        json.WriteStartObject("requestBody"u8);
        json.WriteStartObject("content"u8);
        foreach (var type in TypesOf(operation.Body))
        {
            json.WriteStartObject(type);
            if (type == "application/json" && operation.Example is not null)
            {
                json.WritePropertyName("example"u8);
                json.WriteRawValue(operation.Example);
            }

            json.WriteEndObject();
        }

        json.WriteEndObject();
        json.WriteEndObject();
    }

    private static string[] TypesOf(BodyKind body) => body switch
    {
        BodyKind.Telemetry => ["application/json", "application/x-ndjson", "application/xml", "application/x-www-form-urlencoded"],
        BodyKind.JsonOrCsv => ["application/json", "text/csv"],
        _ => ["application/json"],
    };

    private static void WriteComponents(Utf8JsonWriter json) => json.WriteRawPropertyAndValue(
        "components",
        """
        {"schemas":{"Problem":{"type":"object","properties":{"type":{"type":"string"},"title":{"type":"string"},
        "status":{"type":"integer"},"detail":{"type":"string"},"mend":{"type":"string"},"instance":{"type":"string"}}}},
        "securitySchemes":{"bearer":{"type":"http","scheme":"bearer"},"cookie":{"type":"apiKey","in":"cookie","name":"millrace-session"}}}
        """);
}

file static class RawJson
{
    public static void WriteRawPropertyAndValue(this Utf8JsonWriter json, string name, string value)
    {
        json.WritePropertyName(name);
        json.WriteRawValue(value);
    }
}
