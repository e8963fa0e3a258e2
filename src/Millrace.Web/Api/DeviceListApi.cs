using System.Buffers;
using System.Diagnostics;
using System.Text;
using System.Text.Json;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Millrace.Codecs;
using Millrace.Core;
using Millrace.Listeners.Http;
using Millrace.Processing.Latest;
using Millrace.Web.Hosting;
using Millrace.Web.Security;

namespace Millrace.Web.Api;

/// <summary>The list of devices: searched, filtered and sorted, page by page, each request a bounded amount of work.</summary>
internal sealed class DeviceListApi(ServerState state)
{
    private const int LimitDefault = 100;
    private const int LimitMax = 1000;

    /// <summary>A filter that few devices pass may look at this many per request; then the answer's <c>next</c> goes on.</summary>
    private const int ScanMax = 50_000;

    /// <summary>Larger newest readings are left out of a list; the device's own page has them.</summary>
    private const int LatestBytesMax = 2048;

    /// <summary>One reading lost on its way is no silence.</summary>
    private const int IntervalsMissed = 3;

    private static readonly TimeSpan ScanTime = TimeSpan.FromMilliseconds(500);

    /// <summary>What the caller wants to see.</summary>
    /// <param name="SilentBefore">Only devices not heard since (µs), or null.</param>
    /// <param name="Overdue">Only devices that have missed the intervals at which their type reports.</param>
    /// <param name="Listener">Only devices whose newest reading came this way, or null.</param>
    /// <param name="Alert">Only devices with open alerts of this severity, or <c>any</c>; null: all.</param>
    private sealed record Wish(DeviceQuery Query, long? SilentBefore, bool Overdue, ListenerId? Listener, string? Alert, bool WithLatest)
    {
        public bool IsSearch => Query.Search is not null || Query.Tag is not null || Query.Type is not null;

        public bool IsFiltered => IsSearch || SilentBefore is not null || Overdue || Listener is not null || Alert is not null;
    }

    /// <summary>A device with what is known of its newest reading.</summary>
    private sealed record Row(Device Device, Latest? Latest, ListenerId? Listener, byte[]? Data);

    public void Map(IEndpointRouteBuilder routes) =>
        routes.Map("GET", "/api/v1/devices", ListAsync, new ApiOperation("Devices", "List and search devices", Role.Read)
        {
            Query =
            [
                new("search", "Part of the id or name, without regard to case"), new("tag", "Only devices with this tag"),
                new("type", "Only devices of this type"), new("silent", "Only devices not heard for so long: 90s, 15m, 2h, 1d; or expected: for three of the intervals their type expects"),
                new("listener", "Only devices whose newest reading came by this listener"),
                new("alert", "Only devices with open alerts: any, info, warning or critical"),
                new("sort", "id (default), -id, lastSeen: the longest silent first, or -lastSeen: the last heard first"),
                new("latest", "true: with the newest reading's data, where it is small"), new("limit", "1 to 1000, default 100"),
                new("after", "The page's start: the 'next' of the page before"), new("skip", "So many devices after that are passed over; only by id and without other filters"),
            ],
            Answer = "{\"devices\":[…],\"total\",\"next\"}; next is null on the last page, total only without filters.",
        });

    private Task ListAsync(HttpContext context)
    {
        var sort = context.Query("sort") ?? "id";
        if (sort is not ("id" or "-id" or "lastSeen" or "-lastSeen"))
            return Problem.BadRequestAsync(context, $"'sort' is '{sort}'; it can be id, -id, lastSeen or -lastSeen.");
        if (!TryWish(context, sort == "-id", out var wish, out var fault))
            return Problem.BadRequestAsync(context, fault);
        var table = state.Parts.Devices;
        var bySeen = sort.EndsWith("lastSeen", StringComparison.Ordinal);
        if (table is not null && !wish.IsSearch && wish is { Overdue: false, Listener: null, Alert: null } && (bySeen || (wish.SilentBefore is not null && sort == "id")))
            return ListBySeenAsync(context, table, wish, descending: sort == "-lastSeen");
        if (bySeen)
            return Problem.BadRequestAsync(context, $"'sort={sort}' goes with a length of time as 'silent', not with the other filters.");
        if (wish.Query.Skip > 0 && wish.IsFiltered)
            return Problem.BadRequestAsync(context, "'skip' goes with neither search nor filters.");
        return wish.SilentBefore is null && wish is { Overdue: false, Listener: null, Alert: null } ? ListPageAsync(context, wish) : ScanAsync(context, wish);
    }

    private bool TryWish(HttpContext context, bool descending, out Wish wish, out string fault)
    {
        (wish, fault) = (null!, "");
        long silent = 0;
        var skip = 0;
        ListenerId listener = default;
        if (!context.TryLimit(LimitDefault, LimitMax, out var limit))
            fault = "'limit' is not a positive number.";
        else if (context.Query("silent") is { } text and not "expected" && !RouteValues.TryDuration(text, out silent))
            fault = $"'silent' is '{text}'; write a length of time such as 90s, 15m, 2h or 1d, or expected.";
        else if (context.Query("listener") is { } name && !ListenerNames.TryParse(name, out listener))
            fault = $"There is no listener '{name}'.";
        else if (context.Query("alert") is not (null or "any" or "info" or "warning" or "critical"))
            fault = "'alert' has to be any, info, warning or critical.";
        else if (context.Query("skip") is { } passed && (!int.TryParse(passed, out skip) || skip < 0))
            fault = "'skip' is not a number.";
        if (fault.Length > 0)
            return false;
        wish = new Wish(
            new DeviceQuery(
                context.Who().Tenant, context.Query("search"), context.Query("tag"), context.Query("type"), context.Query("after"), limit, descending, skip),
            silent > 0 ? state.Parts.Time.Now() - silent : null, context.Query("silent") == "expected", listener == default ? null : listener, context.Query("alert"), context.Query("latest") is "true" or "1");
        return true;
    }

    private Task ListPageAsync(HttpContext context, Wish wish)
    {
        var page = state.Parts.Registry.List(wish.Query);
        return WriteAsync(context, wish, page.Devices.Select(d => Look(d, wish.WithLatest)), page.Next);
    }

    /// <summary>The table knows when everybody was heard last.</summary>
    private Task ListBySeenAsync(HttpContext context, DeviceTable table, Wish wish, bool descending)
    {
        var query = wish.Query;
        DeviceSeen? after = null;
        if (query.After is { } text)
        {
            var colon = text.IndexOf(':');
            if (colon < 0 || !long.TryParse(text.AsSpan(0, colon), out var seenAt))
                return Problem.BadRequestAsync(context, "'after' has to be the 'next' of the page before.");
            after = new DeviceSeen(text[(colon + 1)..], seenAt);
        }

        var before = wish.SilentBefore ?? long.MaxValue;
        var page = descending ? table.LastHeard(query.Tenant, before, after, query.Limit) : table.Silent(query.Tenant, before, after, query.Limit);
        var next = page.Count == query.Limit ? $"{page[^1].LastSeenAt}:{page[^1].Id}" : null;
        return WriteAsync(context, wish, page.Select(seen => state.FindDevice(query.Tenant, seen.Id)).OfType<Device>().Select(d => Look(d, wish.WithLatest)), next);
    }

    /// <summary>Goes through the register, or through the devices with open alerts, and keeps what passes.</summary>
    private Task ScanAsync(HttpContext context, Wish wish)
    {
        var started = Stopwatch.GetTimestamp();
        List<Row> found = [];
        string? next = wish.Query.After;
        var seen = 0;
        while (true)
        {
            var page = wish.Alert is { } alert ? PageWithAlerts(wish.Query, alert, next) : state.Parts.Registry.List(wish.Query with { Limit = LimitMax, After = next });
            foreach (var device in page.Devices)
            {
                next = device.Id;
                var row = Look(device, wish.WithLatest);
                if (Passes(row, wish))
                    found.Add(row);
                if (found.Count == wish.Query.Limit)
                    return WriteAsync(context, wish, found, next);
            }

            seen += page.Devices.Count;
            next = page.Next;
            if (next is null || seen >= ScanMax || Stopwatch.GetElapsedTime(started) > ScanTime)
                return WriteAsync(context, wish, found, next);
        }
    }

    private DevicePage PageWithAlerts(DeviceQuery query, string severity, string? after)
    {
        if (state.Parts.Alerts is not { } book)
            return new DevicePage([], null);
        var ids = book.DevicesWithOpenAlerts(query.Tenant, severity == "any" ? null : severity, after, LimitMax);
        var devices = ids.Select(id => state.FindDevice(query.Tenant, id)).OfType<Device>().Where(d => Matches(d, query));
        return new DevicePage([.. devices], ids.Count == LimitMax ? ids[^1] : null);
    }

    private static bool Matches(Device device, DeviceQuery query) =>
        (query.Search is not { Length: > 0 } text
            || device.Id.Contains(text, StringComparison.OrdinalIgnoreCase) || device.Name?.Contains(text, StringComparison.OrdinalIgnoreCase) == true)
        && (query.Tag is null || device.Tags.Contains(query.Tag))
        && (query.Type is null || device.Type == query.Type);

    private bool Passes(Row row, Wish wish) =>
        (wish.SilentBefore is not { } before || HeardAt(row) < before)
        && (!wish.Overdue || IsOverdue(row))
        && (wish.Listener is not { } listener || row.Listener == listener);

    private static long HeardAt(Row row) => row.Latest?.Place.ReceivedAt ?? row.Device.CreatedAt;

    /// <summary>Of a device whose type expects nothing nobody knows whether it is late.</summary>
    private bool IsOverdue(Row row) =>
        state.Types.Find(row.Device.Tenant, row.Device.Type)?.ExpectedInterval is { } interval
        && HeardAt(row) < state.Parts.Time.Now() - (IntervalsMissed * interval);

    private Row Look(Device device, bool withData)
    {
        var record = new ArrayBufferWriter<byte>(512);
        if (!state.Parts.Latest.TryRead(device.Tenant, Encoding.UTF8.GetBytes(device.Id), record, out var place))
            return new Row(device, null, null, null);
        var reading = new ReadingRecord(record.WrittenSpan, place.Sequence, place.ReceivedAt);
        byte[]? data = null;
        if (withData && reading.Payload.Length <= LatestBytesMax)
        {
            var view = new ArrayBufferWriter<byte>(512);
            PayloadView.WriteJson(in reading, view);
            data = view.WrittenCount <= LatestBytesMax ? view.WrittenSpan.ToArray() : null;
        }

        return new Row(device, new Latest(place, reading.EventTime), reading.Listener, data);
    }

    private Task WriteAsync(HttpContext context, Wish wish, IEnumerable<Row> rows, string? next)
    {
        var page = rows.ToList();
        var alerts = page.Count > 0 && state.Parts.Alerts is { } book
            ? book.OpenOf(wish.Query.Tenant, [.. page.Select(r => r.Device.Id)]).ToLookup(a => a.Device, a => a.Severity)
            : null;
        return Answer.WriteAsync(context, json =>
        {
            json.WriteStartArray("devices"u8);
            foreach (var row in page)
            {
                json.WriteStartObject();
                DeviceText.Write(json, row.Device, row.Latest?.Place, row.Latest?.EventTime);
                json.WriteOptional("listener"u8, row.Listener?.Name());
                json.WriteStartArray("alerts"u8);
                foreach (var severity in alerts?[row.Device.Id] ?? [])
                    json.WriteStringValue(severity);
                json.WriteEndArray();
                if (row.Data is { } data)
                {
                    json.WritePropertyName("data"u8);
                    json.WriteRawValue(data);
                }

                json.WriteEndObject();
            }

            json.WriteEndArray();
            if (wish.IsFiltered)
                json.WriteNull("total"u8);
            else
                json.WriteNumber("total"u8, state.Parts.Registry.Count(wish.Query.Tenant));
            json.WriteOptional("next"u8, next);
        });
    }
}
