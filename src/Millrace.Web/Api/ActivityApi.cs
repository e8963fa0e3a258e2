using System.Text.Json;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Millrace.Core;
using Millrace.Web.Hosting;
using Millrace.Web.Security;

namespace Millrace.Web.Api;

/// <summary>The last hour of the server and of one's own jobs, for charts.</summary>
internal sealed class ActivityApi(ServerState state)
{
    public void Map(IEndpointRouteBuilder routes) =>
        routes.Map("GET", "/api/v1/activity", ShowAsync, new ApiOperation("Operations", "The last hour in steps of ten seconds", Role.Read)
        {
            Answer = "{\"stepSeconds\",\"times\":[…],\"stored\":[…],\"lagReadings\":[…],\"jobs\":{NAME:{\"rowsIn\":[…],\"rowsOut\":[…],\"lagReadings\":[…]}}}; "
                + "counters are totals, null where the job was not there.",
        });

    private Task ShowAsync(HttpContext context)
    {
        var samples = state.Activity.Samples();
        var jobs = state.Parts.Jobs?.List(context.Who().Tenant).Select(j => j.Name).ToList() ?? [];
        return Answer.WriteAsync(context, json =>
        {
            json.WriteNumber("stepSeconds"u8, Activity.Step.TotalSeconds);
            json.WriteStartArray("times"u8);
            foreach (var sample in samples)
                json.WriteStringValue(Micros.ToIso(sample.At));
            json.WriteEndArray();
            WriteNumbers(json, "stored", samples, s => s.Stored);
            WriteNumbers(json, "lagReadings", samples, s => s.LagReadings);
            json.WriteStartObject("jobs"u8);
            foreach (var job in jobs)
            {
                json.WriteStartObject(job);
                WriteNumbers(json, "rowsIn", samples, s => s.Jobs.TryGetValue(job, out var j) ? j.RowsIn : null);
                WriteNumbers(json, "rowsOut", samples, s => s.Jobs.TryGetValue(job, out var j) ? j.RowsOut : null);
                WriteNumbers(json, "lagReadings", samples, s => s.Jobs.TryGetValue(job, out var j) ? j.Lag : null);
                json.WriteEndObject();
            }

            json.WriteEndObject();
        });
    }

    private static void WriteNumbers(Utf8JsonWriter json, string name, IReadOnlyList<ActivitySample> samples, Func<ActivitySample, long?> value)
    {
        json.WriteStartArray(name);
        foreach (var sample in samples)
        {
            if (value(sample) is { } number)
                json.WriteNumberValue(number);
            else
                json.WriteNullValue();
        }

        json.WriteEndArray();
    }
}
