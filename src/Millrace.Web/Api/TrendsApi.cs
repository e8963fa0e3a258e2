using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Millrace.Core;
using Millrace.History.Rollups.Groups;
using Millrace.Listeners.Http;
using Millrace.Web.Hosting;
using Millrace.Web.Security;

namespace Millrace.Web.Api;

/// <summary>The curves of the fleet, of each type and each tag, and how many of their devices stand behind them.</summary>
internal sealed class TrendsApi(ServerState state)
{
    public void Map(IEndpointRouteBuilder routes)
    {
        if (state.Parts.History?.Groups is not { } groups)
            return;
        routes.Map("GET", "/api/v1/trends", context => TrendsAsync(context, groups), new ApiOperation("Readings", "Trends of the fleet or of groups", Role.Read)
        {
            Query =
            [
                new("field", "The field's name; a dot goes into objects"),
                new("interval", "1m, 15m, 1h, 1d or auto (default)"),
                new("aggregate", $"One or several of {string.Join(", ", TrendText.GroupAggregates)}; default avg"),
                new("from", "Inclusive, ISO 8601 or Unix ms; default 24 hours ago"), new("to", "Exclusive; default now"),
                new("group", "none (default), type or tag: one series for each"),
                new("tz", "The zone whose hours and days are meant, as Europe/Prague; default UTC"),
                new("points", "As many points a series are enough: peaks are kept"),
            ],
            Answer = "{\"field\",\"interval\",\"series\":[{\"group\",\"devices\":{\"reported\",\"known\",\"share\"},\"points\":[{\"time\",\"count\",\"value\"}]}]}",
        });
    }

    private async Task TrendsAsync(HttpContext context, GroupRollupView groups)
    {
        if (context.Query("field") is not { } field)
            await Problem.BadRequestAsync(context, "'field' is missing.", "Name a field of the readings' data, such as field=value.");
        else if (!TryKind(context, out var kind))
            await Problem.BadRequestAsync(context, $"'group' is '{context.Query("group")}'; it can be none, type or tag.");
        else if (!TrendQuestion.TryRead(context, state.Parts.Time, TrendText.GroupAggregates, out var question, out var fault))
            await Problem.BadRequestAsync(context, fault);
        else
            await WriteAsync(context, field, question, groups.Read(context.Who().Tenant, field, kind, question.Buckets));
    }

    private static Task WriteAsync(HttpContext context, string field, TrendQuestion question, IReadOnlyList<GroupTrend> trends) =>
        Answer.WriteAsync(context, json =>
        {
            json.WriteString("field"u8, field);
            json.WriteString("interval"u8, question.Interval);
            json.WriteStartArray("series"u8);
            foreach (var trend in trends)
            {
                json.WriteStartObject();
                json.WriteOptional("group"u8, trend.Group);
                json.WriteStartObject("devices"u8);
                json.WriteNumber("reported"u8, trend.Reported);
                json.WriteNumber("known"u8, trend.Known);
                json.WriteNumber("share"u8, trend.Known == 0 ? 0 : Math.Round((double)trend.Reported / trend.Known, 6));
                json.WriteEndObject();
                json.WriteStartArray("points"u8);
                foreach (var place in TrendText.Chosen([trend.Points], question.Aggregates, question.Points))
                {
                    var point = trend.Points[place];
                    json.WriteStartObject();
                    json.WriteTime("time"u8, point.Bucket.Start);
                    json.WriteNumber("count"u8, point.Count);
                    if (question.Aggregates.Count == 1)
                        json.WriteNumber("value"u8, TrendText.Of(point, question.Aggregates[0]));
                    else
                        TrendText.WriteEach(json, point, question.Aggregates);
                    json.WriteEndObject();
                }

                json.WriteEndArray();
                json.WriteEndObject();
            }

            json.WriteEndArray();
        });

    private static bool TryKind(HttpContext context, out GroupKind kind)
    {
        kind = context.Query("group") switch { "type" => GroupKind.Type, "tag" => GroupKind.Tag, _ => GroupKind.Fleet };
        return context.Query("group") is null or "none" or "type" or "tag";
    }
}
