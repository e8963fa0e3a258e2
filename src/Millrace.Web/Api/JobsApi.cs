using System.Text.Json;
using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Millrace.Core;
using Millrace.Jobs;
using Millrace.Jobs.Definitions;
using Millrace.Jobs.Running;
using Millrace.Listeners.Http;
using Millrace.Outputs;
using Millrace.Web.Hosting;
using Millrace.Web.Security;

namespace Millrace.Web.Api;

/// <summary>Stream SQL jobs: make, start, stop, look at, try on recorded readings.</summary>
internal sealed class JobsApi(ServerState state)
{
    private const int PreviewLimitDefault = 100;
    private const int PreviewLimitMax = 1000;
    private const int RowsMax = 1000;

    private static readonly JsonSerializerOptions Plain = new() { Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    private JobHost Jobs => state.Parts.Jobs!;

    public void Map(IEndpointRouteBuilder routes)
    {
        if (state.Parts.Jobs is null)
            return;
        routes.Map("GET", "/api/v1/jobs", ListAsync, new ApiOperation("Jobs", "List jobs", Role.Read) { Answer = "{\"jobs\":[{\"name\",\"running\",\"status\":{…}}]}" });
        routes.Map("POST", "/api/v1/jobs/check", CheckAsync, new ApiOperation("Jobs", "Check a script", Role.Read)
        {
            Body = BodyKind.Json,
            Answer = "{\"errors\":[{\"line\",\"column\",\"message\"}],\"warnings\":[…],\"outputs\":[NAME,…]}",
            Example = """{"query":"SELECT id, value INTO high FROM telemetry WHERE value > 50"}""",
        });
        routes.Map("POST", "/api/v1/jobs/preview", PreviewAsync, new ApiOperation("Jobs", "Try a job on recorded readings", Role.Operate)
        {
            Body = BodyKind.Json,
            Answer = "{\"rows\":{OUTPUT:number},\"first\":{OUTPUT:[row,…]},\"events\",\"bad\",\"until\"}; \"until\" is set when time ran out before the range was read.",
            Example = """{"job":{"query":"SELECT id, value INTO high FROM telemetry WHERE value > 50"},"from":"2026-01-01T00:00:00Z","to":"2026-01-02T00:00:00Z","limit":100}""",
        });
        routes.Map("GET", "/api/v1/jobs/{job}", FindAsync, new ApiOperation("Jobs", "Show a job", Role.Read) { Answer = "{\"name\",\"version\",\"running\",\"definition\",\"status\",\"warnings\"}" });
        routes.Map("PUT", "/api/v1/jobs/{job}", PutAsync, new ApiOperation("Jobs", "Make or edit a job; it starts unless \"start\" is false", Role.Operate)
        {
            Body = BodyKind.Json,
            Answer = "The job; 400 with {\"errors\":[{\"line\",\"column\",\"message\"}]} when it is wrong.",
            Example = """{"query":"SELECT id, value INTO high FROM telemetry WHERE value > 50","outputs":{"high":{"kind":"files","path":"high.jsonl"}}}""",
        });
        routes.Map("DELETE", "/api/v1/jobs/{job}", DeleteAsync, new ApiOperation("Jobs", "Remove a job and its state", Role.Operate) { Status = StatusCodes.Status204NoContent });
        routes.Map("POST", "/api/v1/jobs/{job}/start", StartAsync, new ApiOperation("Jobs", "Start a job where it stopped", Role.Operate) { Body = BodyKind.Json });
        routes.Map("POST", "/api/v1/jobs/{job}/stop", StopAsync, new ApiOperation("Jobs", "Stop a job; nothing is lost", Role.Operate) { Body = BodyKind.Json });
        routes.Map("GET", "/api/v1/jobs/{job}/status", StatusAsync, new ApiOperation("Jobs", "How a job is doing", Role.Read)
        {
            Answer = "{\"state\",\"version\",\"exactFrom\",\"rowsIn\",\"rowsOut\",\"bad\",\"late\",\"early\",\"outOfOrder\",\"watermark\",\"lagReadings\",\"lastError\",\"outputs\":[…]}",
        });
        routes.Map("GET", "/api/v1/jobs/{job}/rows/{output}", RowsAsync, new ApiOperation("Jobs", "The last rows of an output", Role.Read)
        {
            Query = [new("limit", "1 to 1000, default 100")],
            Answer = "{\"rows\":[{\"version\",\"row\",\"time\",\"data\"}]}, oldest first.",
        });
    }

    private Task ListAsync(HttpContext context)
    {
        var jobs = Jobs.List(context.Who().Tenant);
        return Answer.WriteAsync(context, json =>
        {
            json.WriteStartArray("jobs"u8);
            foreach (var job in jobs)
            {
                json.WriteStartObject();
                json.WriteString("name"u8, job.Name);
                json.WriteBoolean("running"u8, job.Running);
                json.WriteStartObject("status"u8);
                WriteStatus(json, job.Status);
                json.WriteEndObject();
                json.WriteEndObject();
            }

            json.WriteEndArray();
        });
    }

    private async Task CheckAsync(HttpContext context)
    {
        using var body = await JsonBody.ReadObjectAsync(context);
        if (body is null)
            return;
        if (!body.RootElement.TryText("query", out var query) || query is null)
        {
            await Problem.BadRequestAsync(context, "'query' has to be a string.");
            return;
        }

        var (errors, warnings, outputs) = Jobs.Check(query);
        await Answer.WriteAsync(context, json =>
        {
            WriteErrors(json, "errors", errors);
            WriteErrors(json, "warnings", warnings);
            json.WriteStartArray("outputs"u8);
            foreach (var output in outputs)
                json.WriteStringValue(output);
            json.WriteEndArray();
        });
    }

    private async Task PreviewAsync(HttpContext context)
    {
        using var body = await JsonBody.ReadObjectAsync(context);
        if (body is null)
            return;
        var limit = PreviewLimitDefault;
        long from = 0, to = long.MaxValue;
        if (!body.RootElement.TryGetProperty("job", out var job) || job.ValueKind != JsonValueKind.Object
            || !TryTime(body.RootElement, "from", ref from) || !TryTime(body.RootElement, "to", ref to)
            || (body.RootElement.TryGetProperty("limit", out var wish) && (!wish.TryGetInt32(out limit) || limit is < 0 or > PreviewLimitMax)))
        {
            await Problem.BadRequestAsync(context, $"'job' is a job's definition, 'from' and 'to' are times, 'limit' is 0 to {PreviewLimitMax}.");
            return;
        }

        try
        {
            var preview = await Jobs.PreviewAsync(context.Who().Tenant, Definition(job), from, to, limit, context.RequestAborted);
            await Answer.WriteAsync(context, json => WritePreview(json, preview));
        }
        catch (JobDefinitionException e)
        {
            await RefuseAsync(context, e);
        }
        catch (Exception e) when (e is OutputException or StreamSql.QueryMemoryException)
        {
            await Problem.BadRequestAsync(context, e.Message);
        }
    }

    private Task FindAsync(HttpContext context) => Jobs.Find(context.Who().Tenant, Name(context)) is { } job
        ? Answer.WriteAsync(context, json => WriteJob(json, job, context.Who()))
        : UnknownAsync(context);

    private async Task PutAsync(HttpContext context)
    {
        using var body = await JsonBody.ReadObjectAsync(context);
        if (body is null)
            return;
        var who = context.Who();
        try
        {
            var (job, isNew) = await Jobs.PutAsync(who.Tenant, Name(context), Definition(body.RootElement));
            state.Parts.Tokens.Audit(who, isNew ? "job.create" : "job.edit", $"{job.Name} version {job.Version}");
            await Answer.WriteAsync(context, json => WriteJob(json, job, context.Who()), isNew ? StatusCodes.Status201Created : StatusCodes.Status200OK);
        }
        catch (JobDefinitionException e)
        {
            await RefuseAsync(context, e);
        }
    }

    private async Task DeleteAsync(HttpContext context)
    {
        var who = context.Who();
        if (!await Jobs.DeleteAsync(who.Tenant, Name(context)))
        {
            await UnknownAsync(context);
            return;
        }

        state.Parts.Tokens.Audit(who, "job.delete", Name(context));
        await Answer.NothingAsync(context);
    }

    private Task StartAsync(HttpContext context) => ChangeAsync(context, "job.start", Jobs.StartAsync);

    private Task StopAsync(HttpContext context) => ChangeAsync(context, "job.stop", Jobs.StopAsync);

    private async Task ChangeAsync(HttpContext context, string action, Func<ushort, string, Task<bool>> change)
    {
        var who = context.Who();
        if (!await change(who.Tenant, Name(context)))
        {
            await UnknownAsync(context);
            return;
        }

        state.Parts.Tokens.Audit(who, action, Name(context));
        await StatusAsync(context);
    }

    private Task StatusAsync(HttpContext context) => Jobs.Find(context.Who().Tenant, Name(context)) is { } job
        ? Answer.WriteAsync(context, json => WriteStatus(json, job.Status))
        : UnknownAsync(context);

    private Task RowsAsync(HttpContext context)
    {
        if (!context.TryLimit(PreviewLimitDefault, RowsMax, out var limit))
            return Problem.BadRequestAsync(context, "'limit' is not a positive number.");
        var output = (string?)context.GetRouteValue("output") ?? "";
        if (Jobs.LastRows(context.Who().Tenant, Name(context), output, limit) is not { } rows)
            return UnknownAsync(context);
        return Answer.WriteAsync(context, json =>
        {
            json.WriteStartArray("rows"u8);
            foreach (var row in rows)
            {
                json.WriteStartObject();
                json.WriteNumber("version"u8, row.Id.Version);
                json.WriteNumber("row"u8, row.Id.Row);
                json.WriteTime("time"u8, row.Timestamp);
                json.WritePropertyName("data"u8);
                json.WriteRawValue(row.Json.Span);
                json.WriteEndObject();
            }

            json.WriteEndArray();
        });
    }

    private static string Name(HttpContext context) => (string?)context.GetRouteValue("job") ?? "";

    private static Task UnknownAsync(HttpContext context) => Problem.NotFoundAsync(context, $"There is no job '{Name(context)}'.");

    private static JsonObject Definition(JsonElement element) => (JsonObject)JsonNode.Parse(element.GetRawText())!;

    private static bool TryTime(JsonElement body, string name, ref long micros)
    {
        if (!body.TryGetProperty(name, out var member) || member.ValueKind == JsonValueKind.Null)
            return true;
        return RouteValues.TryTime(member.ValueKind == JsonValueKind.String ? member.GetString()! : member.GetRawText(), out micros);
    }

    private static Task RefuseAsync(HttpContext context, JobDefinitionException e) => Problem.WriteAsync(
        context, StatusCodes.Status400BadRequest, "bad_job", "The job is wrong", e.Message,
        "Mend what 'errors' names; POST /api/v1/jobs/check checks a script without making a job.", json => WriteErrors(json, "errors", e.Errors));

    private static void WriteErrors(Utf8JsonWriter json, string name, IReadOnlyList<JobError> errors)
    {
        json.WriteStartArray(name);
        foreach (var error in errors)
        {
            json.WriteStartObject();
            json.WriteNumber("line"u8, error.Line);
            json.WriteNumber("column"u8, error.Column);
            json.WriteString("message"u8, error.Message);
            json.WriteEndObject();
        }

        json.WriteEndArray();
    }

    private static void WriteJob(Utf8JsonWriter json, JobInfo job, Principal who)
    {
        json.WriteString("name"u8, job.Name);
        json.WriteNumber("version"u8, job.Version);
        json.WriteBoolean("running"u8, job.Running);
        json.WritePropertyName("definition"u8);
        json.WriteRawValue(JobSecrets.Masked(job.Definition, withAddresses: who.Role >= Role.Operate).ToJsonString(Plain));
        json.WriteStartObject("status"u8);
        WriteStatus(json, job.Status);
        json.WriteEndObject();
        json.WriteStartArray("warnings"u8);
        foreach (var warning in job.Warnings)
            json.WriteStringValue(warning);
        json.WriteEndArray();
    }

    private static void WriteStatus(Utf8JsonWriter json, JobStatus status)
    {
        json.WriteString("state"u8, status.State.ToString().ToLowerInvariant());
        json.WriteNumber("version"u8, status.Version);
        json.WriteOptional("exactFrom"u8, status.ExactFrom);
        json.WriteNumber("rowsIn"u8, status.RowsIn);
        json.WriteNumber("rowsOut"u8, status.RowsOut);
        json.WriteNumber("bad"u8, status.Bad);
        json.WriteNumber("late"u8, status.Late);
        json.WriteNumber("early"u8, status.Early);
        json.WriteNumber("outOfOrder"u8, status.OutOfOrder);
        json.WriteOptional("watermark"u8, status.Watermark);
        json.WriteNumber("lagReadings"u8, status.LagReadings);
        json.WriteOptional("lastError"u8, status.LastError);
        json.WriteOptional("lastErrorAt"u8, status.LastErrorAt);
        json.WriteNumber("memoryBytes"u8, status.MemoryBytes);
        json.WriteOptional("snapshotAt"u8, status.SnapshotAt);
        json.WriteNumber("snapshotBytes"u8, status.SnapshotBytes);
        json.WriteOptional("nextRunAt"u8, status.NextRunAt);
        json.WriteStartArray("dataLost"u8);
        foreach (var lost in status.DataLost)
        {
            json.WriteStartObject();
            json.WriteNumber("partition"u8, lost.Partition);
            json.WriteNumber("from"u8, lost.From);
            json.WriteNumber("to"u8, lost.To);
            json.WriteEndObject();
        }

        json.WriteEndArray();
        json.WriteStartArray("outputs"u8);
        foreach (var output in status.Outputs)
            WriteOutput(json, output);
        json.WriteEndArray();
    }

    private static void WriteOutput(Utf8JsonWriter json, JobOutputStatus output)
    {
        json.WriteStartObject();
        json.WriteString("name"u8, output.Name);
        json.WriteString("kind"u8, output.Kind);
        json.WriteBoolean("notification"u8, output.IsNotification);
        json.WriteNumber("rows"u8, output.Rows);
        if (output.Delivery is { } delivery)
        {
            json.WriteString("state"u8, delivery.State.ToString().ToLowerInvariant());
            json.WriteString("held"u8, delivery.Held.ToString());
            json.WriteNumber("pendingRows"u8, delivery.PendingRows);
            json.WriteNumber("pendingBytes"u8, delivery.PendingBytes);
            json.WriteNumber("failures"u8, delivery.Failures);
            json.WriteOptional("lastError"u8, delivery.LastError);
            json.WriteOptional("lastErrorAt"u8, delivery.LastErrorAt);
            json.WriteOptional("nextAttemptAt"u8, delivery.NextAttemptAt);
        }

        json.WriteEndObject();
    }

    private static void WritePreview(Utf8JsonWriter json, JobPreview preview)
    {
        json.WriteStartObject("rows"u8);
        foreach (var (output, rows) in preview.Rows)
            json.WriteNumber(output, rows);
        json.WriteEndObject();
        json.WriteStartObject("first"u8);
        foreach (var (output, rows) in preview.First)
        {
            json.WriteStartArray(output);
            foreach (var row in rows)
                json.WriteRawValue(row);
            json.WriteEndArray();
        }

        json.WriteEndObject();
        json.WriteNumber("events"u8, preview.Events);
        json.WriteNumber("bad"u8, preview.Counters.Bad);
        json.WriteStartArray("badEvents"u8);
        foreach (var bad in preview.BadEvents)
            json.WriteStringValue(bad);
        json.WriteEndArray();
        json.WriteOptional("until"u8, preview.Until);
    }
}
