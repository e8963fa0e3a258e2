using System.Text.Json;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Millrace.Core;
using Millrace.Listeners.Http;
using Millrace.Web.Hosting;
using Millrace.Web.Security;

namespace Millrace.Web.Api;

/// <summary>The register of devices: add, show, change, remove, and their tokens.</summary>
internal sealed class DevicesApi(ServerState state)
{
    private IDeviceRegistry Registry => state.Parts.Registry;

    public void Map(IEndpointRouteBuilder routes)
    {
        routes.Map("POST", "/api/v1/devices", AddAsync, new ApiOperation("Devices", "Add a device", Role.Operate)
        {
            Body = BodyKind.Json,
            Status = StatusCodes.Status201Created,
            Answer = "The device; 200 when it was there already.",
            Example = """{"id":"AABB01","name":"Boiler room","type":"thermometer","tags":["north"],"attributes":{"floor":2}}""",
        });
        routes.Map("GET", "/api/v1/devices/{id}", GetAsync, new ApiOperation("Devices", "One device", Role.Read) { Answer = "The device." });
        routes.Map("PUT", "/api/v1/devices/{id}", PutAsync, new ApiOperation("Devices", "Change a device", Role.Operate)
        {
            Body = BodyKind.Json,
            Answer = "The device as it is now. Members left out stay as they are.",
            Example = """{"name":"Boiler room","tags":["north","cellar"]}""",
        });
        routes.Map("DELETE", "/api/v1/devices/{id}", DeleteAsync, new ApiOperation("Devices", "Remove a device; its id stays blocked until it is added again", Role.Operate)
        {
            Query = [new("erase", "true: take its readings out of the history too; answers what that came to")],
            Status = StatusCodes.Status204NoContent,
        });
        routes.Map("POST", "/api/v1/devices/{id}/token", IssueTokenAsync, new ApiOperation("Devices", "Issue the device's token, replacing the old one", Role.Operate)
        {
            Body = BodyKind.Json,
            Answer = "{\"id\",\"token\"}: the token is shown this once.",
        });
    }

    private async Task AddAsync(HttpContext context)
    {
        using var body = await JsonBody.ReadObjectAsync(context);
        if (body is null)
            return;
        if (!body.RootElement.TryGetProperty("id", out var member) || IdOf(member) is not { } id || !RouteValues.IsDeviceId(id))
        {
            await Problem.BadRequestAsync(context, "'id' is missing or no device id.", "An id has 1 to 128 bytes and no control characters.");
            return;
        }

        if (!DeviceText.TryRead(body.RootElement, out var change, out var fault))
        {
            await Problem.BadRequestAsync(context, fault);
            return;
        }

        var who = context.Who();
        var added = Registry.Add(who.Tenant, id, change);
        state.Parts.Tokens.Audit(who, added ? "device.add" : "device.change", id);
        context.Response.Headers.Location = "/api/v1/devices/" + Uri.EscapeDataString(id);
        await WriteDeviceAsync(context, who.Tenant, id, added ? StatusCodes.Status201Created : StatusCodes.Status200OK);
    }

    private Task GetAsync(HttpContext context) => WriteDeviceAsync(context, context.Who().Tenant, context.DeviceId(), StatusCodes.Status200OK);

    private async Task PutAsync(HttpContext context)
    {
        using var body = await JsonBody.ReadObjectAsync(context);
        if (body is null)
            return;
        if (!DeviceText.TryRead(body.RootElement, out var change, out var fault))
        {
            await Problem.BadRequestAsync(context, fault);
            return;
        }

        var who = context.Who();
        var id = context.DeviceId();
        if (!IsEnrolled(who.Tenant, id) || !Registry.Update(who.Tenant, id, change))
        {
            await UnknownAsync(context, id);
            return;
        }

        state.Parts.Tokens.Audit(who, "device.change", id);
        await WriteDeviceAsync(context, who.Tenant, id, StatusCodes.Status200OK);
    }

    private Task DeleteAsync(HttpContext context)
    {
        var who = context.Who();
        var id = context.DeviceId();
        if (context.Query("erase") is { } erase && (erase is "true" || erase.Length == 0))
            return EraseAsync(context);
        if (!IsEnrolled(who.Tenant, id) || !Registry.Remove(who.Tenant, id))
            return UnknownAsync(context, id);
        state.Parts.Tokens.Audit(who, "device.remove", id);
        return Answer.NothingAsync(context);
    }

    /// <summary>Removes the device, so that nothing new comes in, and then its readings; also for a device that was removed before.</summary>
    private async Task EraseAsync(HttpContext context)
    {
        var who = context.Who();
        var id = context.DeviceId();
        if (state.Parts.Eraser is not { } eraser)
        {
            await Problem.BadRequestAsync(context, "This server keeps no history (History:Archive=false): there is nothing to erase.");
            return;
        }

        var isRemoved = IsEnrolled(who.Tenant, id) && Registry.Remove(who.Tenant, id);
        var erased = await eraser.EraseAsync(who.Tenant, id, context.RequestAborted);
        if (!isRemoved && erased is { Readings: 0, Files: 0, Unread.Count: 0 })
        {
            await UnknownAsync(context, id);
            return;
        }

        state.Parts.Tokens.Audit(who, "device.erase", id);
        await Answer.WriteAsync(context, json =>
        {
            json.WriteString("id"u8, id);
            json.WriteNumber("readings"u8, erased.Readings);
            json.WriteNumber("files"u8, erased.Files);
            json.WriteNumber("remaining"u8, erased.Remaining);
            json.WriteStartArray("unread"u8);
            foreach (var file in erased.Unread)
                json.WriteStringValue(file);
            json.WriteEndArray();
            json.WriteString("logUntil"u8, Micros.ToIso(erased.LogUntil));
        });
    }

    private Task IssueTokenAsync(HttpContext context)
    {
        var who = context.Who();
        var id = context.DeviceId();
        if (!IsEnrolled(who.Tenant, id))
            return UnknownAsync(context, id);
        var token = Registry.IssueToken(who.Tenant, id);
        state.Parts.Tokens.Audit(who, "device.token", id);
        return Answer.WriteAsync(context, json =>
        {
            json.WriteString("id"u8, id);
            json.WriteString("token"u8, token);
        });
    }

    private Task WriteDeviceAsync(HttpContext context, ushort tenant, string id, int status)
    {
        if (state.FindDevice(tenant, id) is not { } device)
            return UnknownAsync(context, id);
        var latest = state.LatestOf(device);
        return Answer.WriteAsync(context, json => DeviceText.Write(json, device, latest?.Place, latest?.EventTime), status);
    }

    private static Task UnknownAsync(HttpContext context, string id) =>
        Problem.NotFoundAsync(context, $"There is no device '{id}'.", "Devices appear with their first reading, or are added with POST /api/v1/devices.");

    /// <summary>Whether the register has the device; one that has just been heard for the first time is enrolled now.</summary>
    private bool IsEnrolled(ushort tenant, string id)
    {
        if (Registry.Find(tenant, id) is not null)
            return true;
        if (state.FindDevice(tenant, id) is null)
            return false;
        Registry.Add(tenant, id, new DeviceChange(null, null, null, null));
        return true;
    }

    /// <summary>Ids come as text or as whole numbers.</summary>
    private static string? IdOf(JsonElement id) => id.ValueKind switch
    {
        JsonValueKind.String => id.GetString(),
        JsonValueKind.Number => id.GetRawText(),
        _ => null,
    };
}

/// <summary>When a device's newest reading was made and where it lies.</summary>
internal readonly record struct Latest(ReadingPlace Place, long EventTime);
