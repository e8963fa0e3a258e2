using System.Text;
using System.Text.RegularExpressions;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Millrace.Core;
using Millrace.Listeners.Http;
using Millrace.Web.Hosting;
using Millrace.Web.Security;

namespace Millrace.Web.Api;

/// <summary>What is known of a type of device (units, labels, limits): a JSON object per name, kept as a file as it came.</summary>
internal sealed partial class DeviceTypesApi(ServerState state)
{
    private readonly string _folder = Path.Combine(state.Options.DataFolder, "device-types");

    public void Map(IEndpointRouteBuilder routes)
    {
        routes.Map("GET", "/api/v1/device-types", ListAsync, new ApiOperation("Devices", "List device types", Role.Read) { Answer = "{\"types\":[name…]}" });
        routes.Map("GET", "/api/v1/device-types/{name}", GetAsync, new ApiOperation("Devices", "What is known of a device type", Role.Read) { Answer = "The object that was put." });
        routes.Map("PUT", "/api/v1/device-types/{name}", PutAsync, new ApiOperation("Devices", "Describe a device type", Role.Operate)
        {
            Body = BodyKind.Json,
            Answer = "The object as it is kept.",
            Example = """{"fields":{"value":{"label":"Temperature","unit":"°C"}}}""",
        });
    }

    [GeneratedRegex("^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    private static partial Regex NamePattern { get; }

    private Task ListAsync(HttpContext context)
    {
        var folder = FolderOf(context);
        string[] files = Directory.Exists(folder) ? Directory.GetFiles(folder, "*.json") : [];
        var names = files.Select(Path.GetFileNameWithoutExtension).Order(StringComparer.Ordinal);
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
        if (PathOf(context) is not { } path)
            await BadNameAsync(context);
        else if (!File.Exists(path))
            await Problem.NotFoundAsync(context, $"There is no device type '{context.Request.RouteValues["name"]}'.");
        else
            await WriteAsync(context, await File.ReadAllBytesAsync(path, context.RequestAborted));
    }

    private async Task PutAsync(HttpContext context)
    {
        if (PathOf(context) is not { } path)
        {
            await BadNameAsync(context);
            return;
        }

        using var body = await JsonBody.ReadObjectAsync(context);
        if (body is null)
            return;
        var text = Encoding.UTF8.GetBytes(body.RootElement.GetRawText());
        Directory.CreateDirectory(FolderOf(context));
        // Written aside and moved, so that a reader never meets half of it.
        var aside = $"{path}.{Guid.NewGuid():N}.tmp";
        await File.WriteAllBytesAsync(aside, text, context.RequestAborted);
        File.Move(aside, path, overwrite: true);
        state.Parts.Tokens.Audit(context.Who(), "device-type.put", Path.GetFileNameWithoutExtension(path));
        await WriteAsync(context, text);
    }

    private static Task WriteAsync(HttpContext context, byte[] json)
    {
        context.Response.ContentType = "application/json";
        context.Response.ContentLength = json.Length;
        return context.Response.BodyWriter.WriteAsync(json, context.RequestAborted).AsTask();
    }

    private static Task BadNameAsync(HttpContext context) =>
        Problem.BadRequestAsync(context, "The name is none.", "A type's name has 1 to 64 letters, digits, '.', '_' and '-', and begins with a letter or digit.");

    private string FolderOf(HttpContext context) =>
        context.Who().Tenant == 0 ? _folder : Path.Combine(_folder, $"tenant-{context.Who().Tenant}");

    private string? PathOf(HttpContext context) =>
        context.GetRouteValue("name") is string name && NamePattern.IsMatch(name) ? Path.Combine(FolderOf(context), name + ".json") : null;
}
