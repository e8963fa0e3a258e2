using System.Collections.Concurrent;
using System.Text.Json;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Millrace.Core;
using Millrace.Web.Hosting;
using Millrace.Web.Security;

namespace Millrace.Web.Api;

/// <summary>How the server stands: what <c>millrace status</c> shows.</summary>
internal sealed class StatusApi(ServerState state)
{
    private static readonly TimeSpan HeardKeptFor = TimeSpan.FromSeconds(5);

    private readonly ConcurrentDictionary<ushort, (long At, long Devices)> _heard = new();

    public void Map(IEndpointRouteBuilder routes) =>
        routes.Map("GET", "/api/v1/status", StatusAsync, new ApiOperation("Operations", "How the server stands", Role.Read)
        {
            Answer = "Version, uptime, listeners with their books, log, views with their lag, disk, devices.",
        });

    private Task StatusAsync(HttpContext context)
    {
        var parts = state.Parts;
        var now = parts.Time.Now();
        var devices = parts.Registry.Count(context.Who().Tenant);
        return Answer.WriteAsync(context, json =>
        {
            json.WriteString("version"u8, state.Options.Version);
            json.WriteTime("startedAt"u8, state.StartedAt);
            json.WriteNumber("uptimeSeconds"u8, (now - state.StartedAt) / Micros.PerSecond);
            json.WriteString("mode"u8, state.Options.Mode == SecurityMode.Open ? "open" : "token");
            json.WriteNumber("devices"u8, devices);
            if (HeardLastHour(context.Who().Tenant, now) is { } heard)
                json.WriteNumber("heardLastHour"u8, heard);
            json.WriteStartObject("endpoints"u8);
            foreach (var (name, endpoint) in Endpoints())
                json.WriteString(name, endpoint);
            json.WriteEndObject();
            WriteLog(json);
            WriteBooks(json);
            WriteViews(json);
            WriteMachine(json);
        });
    }

    /// <summary>Devices heard in the last hour; a walk over all of them, so it is kept for some seconds.</summary>
    private long? HeardLastHour(ushort tenant, long now)
    {
        if (state.Parts.Devices is not { } table)
            return null;
        if (!_heard.TryGetValue(tenant, out var kept) || now - kept.At > HeardKeptFor.TotalMicroseconds)
            _heard[tenant] = kept = (now, table.CountHeard(tenant, now - (3600 * Micros.PerSecond)));
        return kept.Devices;
    }

    private IEnumerable<(string Name, string Endpoint)> Endpoints() =>
        state.Endpoints.Concat(state.Parts.Listeners().Select(l => (l.Name, l.Endpoint))).DistinctBy(e => e.Item1);

    private void WriteLog(Utf8JsonWriter json)
    {
        var log = state.Parts.Log;
        var (oldest, durable) = (log.Oldest, log.Durable);
        json.WriteStartObject("log"u8);
        json.WriteString("state"u8, log.State.ToString().ToLowerInvariant());
        json.WriteOptional("detail"u8, log.StateDetail);
        json.WriteStartArray("partitions"u8);
        for (var p = 0; p < log.PartitionCount; p++)
        {
            json.WriteStartObject();
            json.WriteNumber("partition"u8, p);
            json.WriteNumber("oldest"u8, oldest[p]);
            json.WriteNumber("next"u8, durable[p]);
            json.WriteEndObject();
        }

        json.WriteEndArray();
        using (var reader = log.OpenReader(oldest))
        {
            if (reader.TryRead() is { } first)
                json.WriteTime("oldestAt"u8, first.FirstReceivedAt);
            else
                json.WriteNull("oldestAt"u8);
        }

        if (state.Parts.Keeping?.Invoke() is { } keeping)
        {
            json.WriteNumber("bytes"u8, keeping.HeldBytes);
            json.WriteStartObject("retention"u8);
            json.WriteNumber("ageSeconds"u8, (long)keeping.AgeMax.TotalSeconds);
            if (keeping.BytesMax is { } most)
                json.WriteNumber("bytes"u8, most);
            else
                json.WriteNull("bytes"u8);
            json.WriteEndObject();
        }

        json.WriteEndObject();
    }

    private void WriteBooks(Utf8JsonWriter json)
    {
        json.WriteStartArray("listeners"u8);
        foreach (var ledger in state.Parts.Ledgers)
        {
            json.WriteStartObject();
            BookText.Write(json, ledger);
            if (state.Parts.Totals is { } totals)
            {
                json.WriteStartObject("totals"u8);
                foreach (var (counter, readings) in totals.Totals(ledger).OrderBy(t => t.Key, StringComparer.Ordinal))
                    json.WriteNumber(counter, readings);
                json.WriteEndObject();
            }

            json.WriteEndObject();
        }

        json.WriteEndArray();
    }

    private void WriteViews(Utf8JsonWriter json)
    {
        var durable = state.Parts.Log.Durable;
        json.WriteStartArray("views"u8);
        foreach (var view in state.Parts.Views())
        {
            json.WriteStartObject();
            json.WriteString("name"u8, view.Name);
            json.WriteString("state"u8, view.State);
            json.WriteNumber("lagReadings"u8, view.Position.LagBehind(durable));
            json.WriteNumber("skippedReadings"u8, view.Skipped);
            json.WriteOptional("lastError"u8, view.LastError);
            json.WriteEndObject();
        }

        json.WriteEndArray();
    }

    private void WriteMachine(Utf8JsonWriter json)
    {
        json.WriteStartObject("disk"u8);
        json.WriteString("folder"u8, Path.GetFullPath(state.Options.DataFolder));
        try
        {
            var drive = new DriveInfo(Path.GetFullPath(state.Options.DataFolder));
            json.WriteNumber("totalBytes"u8, drive.TotalSize);
            json.WriteNumber("freeBytes"u8, drive.AvailableFreeSpace);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or ArgumentException)
        {
            // A folder whose disk cannot be asked is still a folder; status says what it knows.
            json.WriteNull("freeBytes"u8);
        }

        json.WriteEndObject();
        json.WriteStartObject("process"u8);
        json.WriteNumber("id"u8, Environment.ProcessId);
        json.WriteNumber("memoryBytes"u8, Environment.WorkingSet);
        json.WriteNumber("threads"u8, ThreadPool.ThreadCount);
        json.WriteEndObject();
    }
}
