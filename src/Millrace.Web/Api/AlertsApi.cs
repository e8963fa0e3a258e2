using System.Globalization;
using System.Text.Json;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Millrace.Core;
using Millrace.Listeners.Http;
using Millrace.Registry.Alerts;
using Millrace.Web.Hosting;
using Millrace.Web.Security;

namespace Millrace.Web.Api;

/// <summary>Alerts: what is raised, acknowledged and cleared.</summary>
internal sealed class AlertsApi(ServerState state)
{
    private const int LimitDefault = 100;
    private const int LimitMax = 1000;
    private const int NoteMax = 2000;
    private const int EarlierMax = 20;

    public void Map(IEndpointRouteBuilder routes)
    {
        if (state.Parts.Alerts is null)
            return;
        routes.Map("GET", "/api/v1/alerts", ListAsync, new ApiOperation("Alerts", "List alerts, newest first", Role.Read)
        {
            Query =
            [
                new("state", "open (raised or acknowledged), raised, acknowledged or cleared; default all"), new("rule", "Only this rule"),
                new("device", "Only alerts about this device"), new("severity", "info, warning or critical"), new("limit", "1 to 1000, default 100"), new("after", "The 'next' of the page before"),
            ],
            Answer = "{\"alerts\":[{\"id\",\"state\",\"rule\",\"key\",\"device\",\"severity\",\"message\",\"raisedAt\",\"lastAt\",\"rows\",\"suppressed\",…}],\"next\"}",
        });
        routes.Map("GET", "/api/v1/alerts/{alert}", FindAsync, new ApiOperation("Alerts", "Show one alert", Role.Read));
        routes.Map("GET", "/api/v1/alerts/{alert}/history", HistoryAsync, new ApiOperation("Alerts", "What happened to an alert, and earlier ones of its rule and key", Role.Read)
        {
            Answer = "{\"events\":[{\"at\",\"kind\":\"raised\"|\"told\"|\"acknowledged\"|\"cleared\",\"who\",\"note\"}],\"earlier\":[alert,…]}, events oldest first, alerts newest first.",
        });
        routes.Map("POST", "/api/v1/alerts/acknowledge", AcknowledgeManyAsync, new ApiOperation("Alerts", "Say that somebody knows of several", Role.Operate)
        {
            Body = BodyKind.Json,
            Answer = "{\"acknowledged\":number,\"skipped\":[id,…]}: what is unknown or over is skipped.",
            Example = """{"ids":[12,13],"note":"crew is on its way"}""",
        });
        routes.Map("POST", "/api/v1/alerts/{alert}/acknowledge", AcknowledgeAsync, new ApiOperation("Alerts", "Say that somebody knows", Role.Operate)
        {
            Body = BodyKind.Json,
            Answer = "The alert.",
            Example = """{"note":"crew is on its way"}""",
        });
    }

    private AlertBook Book => state.Parts.Alerts!;

    private Task ListAsync(HttpContext context)
    {
        if (!context.TryLimit(LimitDefault, LimitMax, out var limit))
            return Problem.BadRequestAsync(context, "'limit' is not a positive number.");
        AlertState? only = null;
        bool? open = null;
        switch (context.Query("state"))
        {
            case null or "all":
                break;
            case "open":
                open = true;
                break;
            case var text when Enum.TryParse<AlertState>(text, ignoreCase: true, out var parsed) && !char.IsAsciiDigit(text[0]):
                only = parsed;
                break;
            default:
                return Problem.BadRequestAsync(context, "'state' has to be open, raised, acknowledged or cleared.");
        }

        long? after = null;
        if (context.Query("after") is { } next)
        {
            if (!long.TryParse(next, NumberStyles.None, CultureInfo.InvariantCulture, out var id))
                return Problem.BadRequestAsync(context, "'after' has to be the 'next' of the page before.");
            after = id;
        }

        var alerts = Book.List(new AlertQuery(
            context.Who().Tenant, only, open, context.Query("rule"), context.Query("device"), after, limit + 1, context.Query("severity")));
        return Answer.WriteAsync(context, json =>
        {
            json.WriteStartArray("alerts"u8);
            foreach (var alert in alerts.Take(limit))
            {
                json.WriteStartObject();
                Write(json, alert);
                json.WriteEndObject();
            }

            json.WriteEndArray();
            json.WriteOptional("next"u8, alerts.Count > limit ? alerts[limit - 1].Id.ToString(CultureInfo.InvariantCulture) : null);
        });
    }

    private Task FindAsync(HttpContext context)
    {
        var text = (string?)context.GetRouteValue("alert") ?? "";
        return long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var id) && Book.Find(context.Who().Tenant, id) is { } alert
            ? Answer.WriteAsync(context, json => Write(json, alert))
            : Problem.NotFoundAsync(context, $"There is no alert {text}.");
    }

    private Task HistoryAsync(HttpContext context)
    {
        var tenant = context.Who().Tenant;
        var text = (string?)context.GetRouteValue("alert") ?? "";
        if (!long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var id) || Book.Find(tenant, id) is not { } alert)
            return Problem.NotFoundAsync(context, $"There is no alert {text}.");
        var earlier = Book.List(new AlertQuery(tenant, null, null, alert.Rule, null, alert.Id, EarlierMax, Key: alert.Key));
        return Answer.WriteAsync(context, json =>
        {
            json.WriteStartArray("events"u8);
            foreach (var happened in Book.History(tenant, id))
            {
                json.WriteStartObject();
                json.WriteTime("at"u8, happened.At);
                json.WriteString("kind"u8, happened.Kind.ToString().ToLowerInvariant());
                json.WriteOptional("who"u8, happened.Who);
                json.WriteOptional("note"u8, happened.Note);
                json.WriteEndObject();
            }

            json.WriteEndArray();
            json.WriteStartArray("earlier"u8);
            foreach (var before in earlier)
            {
                json.WriteStartObject();
                Write(json, before);
                json.WriteEndObject();
            }

            json.WriteEndArray();
        });
    }

    private async Task AcknowledgeManyAsync(HttpContext context)
    {
        using var body = await JsonBody.ReadObjectAsync(context);
        if (body is null)
            return;
        if (!body.RootElement.TryText("note", out var note) || note?.Length > NoteMax || !TryIds(body.RootElement, out var ids))
        {
            await Problem.BadRequestAsync(
                context, $"'ids' is an array of 1 to {LimitMax} numbers of alerts; 'note' is a string of at most {NoteMax} characters and may be left out.");
            return;
        }

        var who = context.Who();
        List<long> skipped = [];
        foreach (var id in ids)
        {
            if (Book.Acknowledge(who.Tenant, id, who.Name, note) is null)
                skipped.Add(id);
        }

        state.Parts.Tokens.Audit(who, "alert.acknowledge", $"{ids.Count - skipped.Count} alerts");
        await Answer.WriteAsync(context, json =>
        {
            json.WriteNumber("acknowledged"u8, ids.Count - skipped.Count);
            json.WriteStartArray("skipped"u8);
            foreach (var id in skipped)
                json.WriteNumberValue(id);
            json.WriteEndArray();
        });
    }

    private static bool TryIds(JsonElement body, out List<long> ids)
    {
        ids = [];
        if (!body.TryGetProperty("ids", out var member) || member.ValueKind != JsonValueKind.Array || member.GetArrayLength() is < 1 or > LimitMax)
            return false;
        foreach (var item in member.EnumerateArray())
        {
            if (item.ValueKind != JsonValueKind.Number || !item.TryGetInt64(out var id))
                return false;
            ids.Add(id);
        }

        return true;
    }

    private async Task AcknowledgeAsync(HttpContext context)
    {
        using var body = await JsonBody.ReadObjectAsync(context);
        if (body is null)
            return;
        if (!body.RootElement.TryText("note", out var note) || note?.Length > NoteMax)
        {
            await Problem.BadRequestAsync(context, $"'note' is a string of at most {NoteMax} characters; it may be left out.");
            return;
        }

        var who = context.Who();
        var text = (string?)context.GetRouteValue("alert") ?? "";
        if (!long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var id) || Book.Find(who.Tenant, id) is null)
        {
            await Problem.NotFoundAsync(context, $"There is no alert {text}.");
            return;
        }

        if (Book.Acknowledge(who.Tenant, id, who.Name, note) is not { } alert)
        {
            await Problem.WriteAsync(context, StatusCodes.Status409Conflict, "cleared", "The alert is over", $"Alert {id} has cleared already; there is nothing to acknowledge.");
            return;
        }

        state.Parts.Tokens.Audit(who, "alert.acknowledge", $"{id} {alert.Rule} {alert.Key}");
        await Answer.WriteAsync(context, json => Write(json, alert));
    }

    private static void Write(Utf8JsonWriter json, Alert alert)
    {
        json.WriteNumber("id"u8, alert.Id);
        json.WriteString("state"u8, alert.State.ToString().ToLowerInvariant());
        json.WriteString("rule"u8, alert.Rule);
        json.WritePropertyName("key"u8);
        json.WriteRawValue(alert.Key);
        json.WriteOptional("device"u8, alert.Device);
        json.WriteString("severity"u8, alert.Severity);
        json.WriteString("message"u8, alert.Message);
        json.WriteString("job"u8, alert.Job);
        json.WriteTime("raisedAt"u8, alert.RaisedAt);
        json.WriteTime("lastAt"u8, alert.LastAt);
        json.WriteOptional("acknowledgedAt"u8, alert.AcknowledgedAt);
        json.WriteOptional("acknowledgedBy"u8, alert.AcknowledgedBy);
        json.WriteOptional("note"u8, alert.Note);
        json.WriteOptional("clearedAt"u8, alert.ClearedAt);
        json.WriteNumber("rows"u8, alert.Rows);
        json.WriteNumber("suppressed"u8, alert.Suppressed);
        json.WriteNumber("notified"u8, alert.Notified);
        json.WriteBoolean("gap"u8, alert.Gap);
        json.WritePropertyName("fields"u8);
        json.WriteRawValue(alert.Fields);
    }
}
