using System.Text;
using System.Text.Json;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Millrace.Core;
using Millrace.History.Types;
using Millrace.Listeners.Http;
using Millrace.Web.Hosting;
using Millrace.Web.Security;

namespace Millrace.Web.Api;

/// <summary>
/// What is declared of a type of device: registers, exact columns, balances (docs/registers.md), and whatever else its owner keeps there
/// (labels, limits). A JSON object per name, kept as a file as it came.
/// </summary>
internal sealed class DeviceTypesApi(ServerState state)
{
    public void Map(IEndpointRouteBuilder routes)
    {
        routes.Map("GET", "/api/v1/device-types", ListAsync, new ApiOperation("Devices", "List device types", Role.Read) { Answer = "{\"types\":[name…]}" });
        routes.Map("GET", "/api/v1/device-types/{name}", GetAsync, new ApiOperation("Devices", "What is declared of a device type", Role.Read) { Answer = "The object that was put." });
        routes.Map("PUT", "/api/v1/device-types/{name}", PutAsync, new ApiOperation("Devices", "Declare a device type", Role.Operate)
        {
            Body = BodyKind.Json,
            Answer = "The object as it is kept.",
            Example = """{"fields":{"used":{"unit":"m³","register":{"digits":8,"resolution":0.001,"maxPerHour":10}}},"balance":[{"total":"bought","parts":["left","used"]}],"expectedInterval":"30s"}""",
        });
    }

    private DeviceTypes Types => state.Types;

    private Task ListAsync(HttpContext context)
    {
        var names = Types.Names(context.Who().Tenant);
        return Answer.WriteAsync(context, json =>
        {
            json.WriteStartArray("types"u8);
            foreach (var name in names)
                json.WriteStringValue(name);
            json.WriteEndArray();
        });
    }

    private async Task GetAsync(HttpContext context)
    {
        if (NameOf(context) is not { } name)
            await BadNameAsync(context);
        else if (await Types.ReadAsync(context.Who().Tenant, name, context.RequestAborted) is { } json)
            await WriteAsync(context, json);
        else
            await Problem.NotFoundAsync(context, $"There is no device type '{name}'.");
    }

    private async Task PutAsync(HttpContext context)
    {
        if (NameOf(context) is not { } name)
        {
            await BadNameAsync(context);
            return;
        }

        using var body = await JsonBody.ReadObjectAsync(context);
        if (body is null)
            return;
        List<string> mistakes = [];
        if (DeviceTypeReader.Read(name, body.RootElement, mistakes) is null)
        {
            await Problem.WriteAsync(
                context, StatusCodes.Status400BadRequest, "bad_request", "The declaration cannot be used", string.Join(' ', mistakes), "See docs/registers.md.",
                json => WriteMistakes(json, mistakes));
            return;
        }

        var text = Encoding.UTF8.GetBytes(body.RootElement.GetRawText());
        await Types.PutAsync(context.Who().Tenant, name, text, context.RequestAborted);
        state.Parts.Tokens.Audit(context.Who(), "device-type.put", name);
        await WriteAsync(context, text);
    }

    private static void WriteMistakes(Utf8JsonWriter json, List<string> mistakes)
    {
        json.WriteStartArray("mistakes"u8);
        foreach (var mistake in mistakes)
            json.WriteStringValue(mistake);
        json.WriteEndArray();
    }

    private static Task WriteAsync(HttpContext context, byte[] json)
    {
        context.Response.ContentType = "application/json";
        context.Response.ContentLength = json.Length;
        return context.Response.BodyWriter.WriteAsync(json, context.RequestAborted).AsTask();
    }

    private static Task BadNameAsync(HttpContext context) =>
        Problem.BadRequestAsync(context, "The name is none.", "A type's name has 1 to 64 letters, digits, '.', '_' and '-', and begins with a letter or digit.");

    private static string? NameOf(HttpContext context) =>
        context.GetRouteValue("name") is string name && DeviceTypes.IsName(name) ? name : null;
}
