using System.Buffers;
using System.Diagnostics;
using System.Text;
using System.Text.Json;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Millrace.Core;
using Millrace.Listeners.Http;
using Millrace.Processing.Latest;
using Millrace.Web.Hosting;
using Millrace.Web.Security;

namespace Millrace.Web.Api;

/// <summary>The register of devices: list, search, add, change, remove, and their tokens.</summary>
internal sealed class DevicesApi(ServerState state)
{
    private const int LimitDefault = 100;
    private const int LimitMax = 1000;

    /// <summary>A filter that few devices pass may look at this many per request; then the answer's <c>next</c> goes on.</summary>
    private const int ScanMax = 50_000;

    private static readonly TimeSpan ScanTime = TimeSpan.FromMilliseconds(500);

    private IDeviceRegistry Registry => state.Parts.Registry;

    public void Map(IEndpointRouteBuilder routes)
    {
        routes.Map("GET", "/api/v1/devices", ListAsync, new ApiOperation("Devices", "List and search devices", Role.Read)
        {
            Query =
            [
                new("search", "Part of the id or name, without regard to case"), new("tag", "Only devices with this tag"),
                new("type", "Only devices of this type"), new("silent", "Only devices not heard for so long: 90s, 15m, 2h, 1d"),
                new("sort", "id (default), -id, or lastSeen: the longest silent first"), new("limit", "1 to 1000, default 100"), new("after", "The page's start: the 'next' of the page before"),
            ],
            Answer = "{\"devices\":[…],\"next\"}; next is null on the last page.",
        });
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
            Status = StatusCodes.Status204NoContent,
        });
        routes.Map("POST", "/api/v1/devices/{id}/token", IssueTokenAsync, new ApiOperation("Devices", "Issue the device's token, replacing the old one", Role.Operate)
        {
            Body = BodyKind.Json,
            Answer = "{\"id\",\"token\"}: the token is shown this once.",
        });
    }

    private Task ListAsync(HttpContext context)
    {
        if (!context.TryLimit(LimitDefault, LimitMax, out var limit))
            return Problem.BadRequestAsync(context, "'limit' is not a positive number.");
        var sort = context.Query("sort") ?? "id";
        if (sort is not ("id" or "-id" or "lastSeen"))
            return Problem.BadRequestAsync(context, $"'sort' is '{sort}'; it can be id, -id or lastSeen.");
        long silent = 0;
        if (context.Query("silent") is { } text && !RouteValues.TryDuration(text, out silent))
            return Problem.BadRequestAsync(context, $"'silent' is '{text}'; write a length of time such as 90s, 15m, 2h or 1d.");

        var query = new DeviceQuery(
            context.Who().Tenant, context.Query("search"), context.Query("tag"), context.Query("type"), context.Query("after"), limit, sort == "-id");
        var isFiltered = query.Search is not null || query.Tag is not null || query.Type is not null;
        if (state.Parts.Devices is { } table && !isFiltered && (sort == "lastSeen" || (silent > 0 && sort == "id")))
            return ListLongestSilentAsync(context, table, query, silent > 0 ? state.Parts.Time.Now() - silent : long.MaxValue);
        if (sort == "lastSeen")
            return Problem.BadRequestAsync(context, "'sort=lastSeen' goes with 'silent', not with 'search', 'tag' or 'type'.");
        return silent > 0 ? ListSilentAsync(context, query, state.Parts.Time.Now() - silent) : ListPageAsync(context, query);
    }

    private Task ListPageAsync(HttpContext context, DeviceQuery query)
    {
        var page = Registry.List(query);
        return WriteListAsync(context, page.Devices.Select(d => (d, Latest(d))), page.Next);
    }

    /// <summary>The table knows when everybody was heard last: the page begins with the longest silent.</summary>
    private Task ListLongestSilentAsync(HttpContext context, DeviceTable table, DeviceQuery query, long before)
    {
        DeviceSeen? after = null;
        if (query.After is { } text)
        {
            var colon = text.IndexOf(':');
            if (colon < 0 || !long.TryParse(text.AsSpan(0, colon), out var seenAt))
                return Problem.BadRequestAsync(context, "'after' has to be the 'next' of the page before.");
            after = new DeviceSeen(text[(colon + 1)..], seenAt);
        }

        var page = table.Silent(query.Tenant, before, after, query.Limit);
        var next = page.Count == query.Limit ? $"{page[^1].LastSeenAt}:{page[^1].Id}" : null;
        return WriteListAsync(context, page.Select(seen => Find(query.Tenant, seen.Id)).OfType<Device>().Select(d => (d, Latest(d))), next);
    }

    private Task ListSilentAsync(HttpContext context, DeviceQuery query, long before)
    {
        var started = Stopwatch.GetTimestamp();
        List<(Device, Latest?)> found = [];
        string? next = query.After;
        var seen = 0;
        while (true)
        {
            var page = Registry.List(query with { Limit = LimitMax, After = next });
            foreach (var device in page.Devices)
            {
                next = device.Id;
                var latest = Latest(device);
                if ((latest?.Place.ReceivedAt ?? device.CreatedAt) < before)
                    found.Add((device, latest));
                if (found.Count == query.Limit)
                    return WriteListAsync(context, found, next);
            }

            seen += page.Devices.Count;
            next = page.Next;
            if (next is null || seen >= ScanMax || Stopwatch.GetElapsedTime(started) > ScanTime)
                return WriteListAsync(context, found, next);
        }
    }

    private static Task WriteListAsync(HttpContext context, IEnumerable<(Device Device, Latest? Latest)> devices, string? next) =>
        Answer.WriteAsync(context, json =>
        {
            json.WriteStartArray("devices"u8);
            foreach (var (device, latest) in devices)
            {
                json.WriteStartObject();
                DeviceText.Write(json, device, latest?.Place, latest?.EventTime);
                json.WriteEndObject();
            }

            json.WriteEndArray();
            json.WriteOptional("next"u8, next);
        });

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
        if (!IsEnrolled(who.Tenant, id) || !Registry.Remove(who.Tenant, id))
            return UnknownAsync(context, id);
        state.Parts.Tokens.Audit(who, "device.remove", id);
        return Answer.NothingAsync(context);
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
        if (Find(tenant, id) is not { } device)
            return UnknownAsync(context, id);
        var latest = Latest(device);
        return Answer.WriteAsync(context, json => DeviceText.Write(json, device, latest?.Place, latest?.EventTime), status);
    }

    private static Task UnknownAsync(HttpContext context, string id) =>
        Problem.NotFoundAsync(context, $"There is no device '{id}'.", "Devices appear with their first reading, or are added with POST /api/v1/devices.");

    /// <summary>A device, also one whose first reading is so fresh that the register does not have it yet.</summary>
    private Device? Find(ushort tenant, string id)
    {
        if (Registry.Find(tenant, id) is { } device)
            return device;
        var fresh = new Device(tenant, id, null, null, [], null, 0, HasToken: false);
        return Latest(fresh) is { } latest ? fresh with { CreatedAt = latest.Place.ReceivedAt } : null;
    }

    /// <summary>Whether the register has the device; one that has just been heard for the first time is enrolled now.</summary>
    private bool IsEnrolled(ushort tenant, string id)
    {
        if (Registry.Find(tenant, id) is not null)
            return true;
        if (Find(tenant, id) is null)
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

    private Latest? Latest(Device device)
    {
        var record = new ArrayBufferWriter<byte>(512);
        if (!state.Parts.Latest.TryRead(device.Tenant, Encoding.UTF8.GetBytes(device.Id), record, out var place))
            return null;
        return new Latest(place, new ReadingRecord(record.WrittenSpan, place.Sequence, place.ReceivedAt).EventTime);
    }
}

/// <summary>When a device's newest reading was made and where it lies.</summary>
internal readonly record struct Latest(ReadingPlace Place, long EventTime);
