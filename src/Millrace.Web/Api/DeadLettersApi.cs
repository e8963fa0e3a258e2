using System.Globalization;
using System.Text.Json;
using System.Text.Unicode;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Millrace.Core;
using Millrace.Listeners.Http;
using Millrace.Processing.DeadLetters;
using Millrace.Web.Hosting;
using Millrace.Web.Security;

namespace Millrace.Web.Api;

#pragma warning disable CA1001 // The gate lives as long as the process and holds no handle.
/// <summary>Rejected readings that were kept: to look at, and to send again once the cause is mended.</summary>
internal sealed class DeadLettersApi(ServerState state)
{
    private const int LimitDefault = 100;
    private const int LimitMax = 1000;
    private const int CountedMax = 10_000;

    private readonly SemaphoreSlim _redriving = new(1, 1);
    private readonly OpenLetters? _letters = state.Parts.DeadLetterStore is { } store
        ? new OpenLetters(store, Path.Combine(state.Options.DataFolder, "dead-letter", "redriven"))
        : null;

    public void Map(IEndpointRouteBuilder routes)
    {
        routes.Map("GET", "/api/v1/dead-letters", ListAsync, new ApiOperation("Operations", "Rejected readings that were kept, newest first", Role.Read)
        {
            Query =
            [
                new("reason", "Only this reason"), new("listener", "Only those of this listener"), new("job", "Only those of this job"), new("limit", "1 to 1000, default 100"),
                new("after", "The 'next' of the page before"),
            ],
            Answer = "{\"deadLetters\":[{\"id\",\"time\",\"listener\",\"reason\",\"device\",\"detail\",\"payload\"}],\"next\"}; a payload that is no text is {\"$base64\"}.",
        });
        routes.Map("GET", "/api/v1/dead-letters/reasons", ReasonsAsync, new ApiOperation("Operations", "How many rejected readings are kept, by reason", Role.Read)
        {
            Answer = "{\"reasons\":[{\"reason\",\"count\",\"newest\"}],\"complete\"}, the commonest first; complete is false when only the newest 10,000 were counted.",
        });
        routes.Map("POST", "/api/v1/dead-letters/redrive", RedriveAsync, new ApiOperation("Operations", "Send kept readings again", Role.Operate)
        {
            Body = BodyKind.Json,
            Answer = "{\"accepted\",\"rejected\"}; accepted ones leave the list.",
            Example = """{"reason":"unknown_device","listener":"udp","job":null,"ids":null,"limit":1000}""",
        });
    }

    private Task ListAsync(HttpContext context)
    {
        if (!context.TryLimit(LimitDefault, LimitMax, out var limit))
            return Problem.BadRequestAsync(context, "'limit' is not a positive number.");
        if (!TryListener(context.Query("listener"), out var listener))
            return Problem.BadRequestAsync(context, $"There is no listener '{context.Query("listener")}'.");
        long? after = null;
        if (context.Query("after") is { } text)
        {
            if (!long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var id))
                return Problem.BadRequestAsync(context, "'after' has to be the 'next' of the page before.");
            after = id;
        }

        var query = new DeadLetterQuery(context.Who().Tenant, context.Query("reason"), context.Query("job"), listener, after, limit + 1);
        var letters = _letters?.List(query) ?? [];
        return Answer.WriteAsync(context, json =>
        {
            json.WriteStartArray("deadLetters"u8);
            foreach (var letter in letters.Take(limit))
                Write(json, letter);
            json.WriteEndArray();
            json.WriteOptional("next"u8, letters.Count > limit ? letters[limit - 1].Number.ToString(CultureInfo.InvariantCulture) : null);
        });
    }

    private Task ReasonsAsync(HttpContext context)
    {
        var letters = _letters?.List(new DeadLetterQuery(context.Who().Tenant, null, null, null, null, CountedMax)) ?? [];
        return Answer.WriteAsync(context, json =>
        {
            json.WriteStartArray("reasons"u8);
            foreach (var reason in letters.GroupBy(l => l.Reason).OrderByDescending(g => g.Count()))
            {
                json.WriteStartObject();
                json.WriteString("reason"u8, reason.Key);
                json.WriteNumber("count"u8, reason.Count());
                json.WriteTime("newest"u8, reason.First().At);
                json.WriteEndObject();
            }

            json.WriteEndArray();
            json.WriteBoolean("complete"u8, letters.Count < CountedMax);
        });
    }

    private async Task RedriveAsync(HttpContext context)
    {
        using var body = await JsonBody.ReadObjectAsync(context);
        if (body is null)
            return;
        var wish = body.RootElement;
        var limit = LimitMax;
        if (!wish.TryText("reason", out var reason) || !wish.TryText("listener", out var name) || !wish.TryText("job", out var job) || !TryListener(name, out var listener)
            || !TryIds(wish, out var ids) || (wish.TryGetProperty("limit", out var number) && (!number.TryGetInt32(out limit) || limit < 1)))
        {
            await Problem.BadRequestAsync(
                context, $"'reason', 'listener' and 'job' are strings, 'ids' are at most {LimitMax} ids of dead letters, 'limit' is a positive number; all may be left out.");
            return;
        }

        if (_letters is null)
        {
            await WriteRedrivenAsync(context, 0, 0);
            return;
        }

        var who = context.Who();
        await _redriving.WaitAsync(context.RequestAborted);     // one at a time, or a letter could be sent twice
        int accepted, rejected;
        try
        {
            var letters = ids is null
                ? _letters.List(new DeadLetterQuery(who.Tenant, reason, job, listener, null, Math.Min(limit, LimitMax)))
                : _letters.Find(who.Tenant, ids);
            (accepted, rejected) = await new Redrive(state.Parts).RunAsync(_letters, letters, who, named: ids is not null || reason is not null);
        }
        finally
        {
            _redriving.Release();
        }

        state.Parts.Tokens.Audit(who, "dead-letters.redrive", $"{accepted} accepted, {rejected} rejected");
        await WriteRedrivenAsync(context, accepted, rejected);
    }

    private static bool TryIds(JsonElement wish, out List<long>? ids)
    {
        ids = null;
        if (!wish.TryGetProperty("ids", out var member) || member.ValueKind == JsonValueKind.Null)
            return true;
        if (member.ValueKind != JsonValueKind.Array || member.GetArrayLength() > LimitMax)
            return false;
        ids = [];
        foreach (var item in member.EnumerateArray())
        {
            if (item.ValueKind != JsonValueKind.String || !long.TryParse(item.GetString(), NumberStyles.None, CultureInfo.InvariantCulture, out var id))
                return false;
            ids.Add(id);
        }

        return true;
    }

    private static Task WriteRedrivenAsync(HttpContext context, int accepted, int rejected) => Answer.WriteAsync(context, json =>
    {
        json.WriteNumber("accepted"u8, accepted);
        json.WriteNumber("rejected"u8, rejected);
    });

    private static bool TryListener(string? name, out string? listener)
    {
        listener = name;
        return name is null || ListenerNames.TryParse(name, out _);
    }

    private static void Write(Utf8JsonWriter json, DeadLetter letter)
    {
        json.WriteStartObject();
        json.WriteString("id"u8, letter.Number.ToString(CultureInfo.InvariantCulture));
        json.WriteTime("time"u8, letter.At);
        json.WriteOptional("listener"u8, letter.Listener);
        json.WriteOptional("job"u8, letter.Job);
        json.WriteString("reason"u8, letter.Reason);
        json.WriteOptional("device"u8, letter.Device);
        json.WriteOptional("detail"u8, letter.Detail);
        json.WriteNumber("bytes"u8, letter.PayloadBytes);
        if (Utf8.IsValid(letter.Payload))
        {
            json.WriteString("payload"u8, letter.Payload);
        }
        else
        {
            json.WriteStartObject("payload"u8);
            json.WriteBase64String("$base64"u8, letter.Payload);
            json.WriteEndObject();
        }

        json.WriteEndObject();
    }
}
