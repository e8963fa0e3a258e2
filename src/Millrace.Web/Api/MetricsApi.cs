using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Millrace.Core;
using Millrace.Web.Hosting;
using Millrace.Web.Metrics;

namespace Millrace.Web.Api;

/// <summary>The books, the log and the program's own meter, as Prometheus reads them.</summary>
internal sealed class MetricsApi(ServerState state)
{
    private static readonly string[] OwnNames =
    [
        "millrace_readings_received_total", "millrace_readings_stored_total", "millrace_readings_in_flight", "millrace_readings_rejected_total",
        "millrace_readings_dropped_total", "millrace_log_durable_sequence", "millrace_view_lag_readings", "millrace_view_skipped_readings_total",
    ];

    public void Map(IEndpointRouteBuilder routes) =>
        routes.Map("GET", "/metrics", MetricsAsync, new ApiOperation("Operations", "Metrics for Prometheus", Role.Read)
        {
            Answer = "Metrics in Prometheus' text format.",
            AnswerType = ExpositionText.ContentType,
        });

    private Task MetricsAsync(HttpContext context)
    {
        var text = new ExpositionText();
        WriteBooks(text);
        WriteLog(text);
        WriteViews(text);
        JobSeries.Write(text, state.Parts.Jobs?.All() ?? [], state.Parts.Time.Now());
        state.Meters.Write(text, name => OwnNames.Contains(name) || JobSeries.Names.Contains(name));
        context.Response.ContentType = ExpositionText.ContentType;
        return context.Response.WriteAsync(text.ToString(), context.RequestAborted);
    }

    private void WriteBooks(ExpositionText text)
    {
        var ledgers = state.Parts.Ledgers;
        // Read so that no sum can exceed what was received: what left is read before what came.
        var books = ledgers.Select(l => (l, Stored: l.Stored, InFlight: l.InFlight, Received: l.Received)).ToList();
        text.Begin("millrace_readings_received_total", "counter", "Readings that arrived.");
        foreach (var (ledger, _, _, received) in books)
            text.Sample("millrace_readings_received_total", Listener(ledger), received);
        text.Begin("millrace_readings_stored_total", "counter", "Readings on stable storage.");
        foreach (var (ledger, stored, _, _) in books)
            text.Sample("millrace_readings_stored_total", Listener(ledger), stored);
        text.Begin("millrace_readings_in_flight", "gauge", "Readings taken by the log and not yet on stable storage.");
        foreach (var (ledger, _, inFlight, _) in books)
            text.Sample("millrace_readings_in_flight", Listener(ledger), inFlight);
        text.Begin("millrace_readings_rejected_total", "counter", "Readings refused, by reason.");
        foreach (var ledger in ledgers)
        {
            foreach (var reason in Enum.GetValues<RejectReason>())
            {
                if (reason != RejectReason.None)
                    text.Sample("millrace_readings_rejected_total", $"{Listener(ledger)},reason=\"{reason.Name()}\"", ledger.RejectedFor(reason));
            }
        }

        text.Begin("millrace_readings_dropped_total", "counter", "Readings lost on the way, by reason.");
        foreach (var ledger in ledgers)
        {
            foreach (var reason in Enum.GetValues<DropReason>())
                text.Sample("millrace_readings_dropped_total", $"{Listener(ledger)},reason=\"{reason.Name()}\"", ledger.DroppedFor(reason));
        }
    }

    private void WriteLog(ExpositionText text)
    {
        var durable = state.Parts.Log.Durable;
        text.Begin("millrace_log_durable_sequence", "gauge", "The next sequence that will become durable, per partition.");
        for (var p = 0; p < durable.Count; p++)
            text.Sample("millrace_log_durable_sequence", $"partition=\"{p}\"", durable[p]);
    }

    private void WriteViews(ExpositionText text)
    {
        var views = state.Parts.Views();
        var durable = state.Parts.Log.Durable;
        text.Begin("millrace_view_lag_readings", "gauge", "Durable readings a view has not taken in yet.");
        foreach (var view in views)
            text.Sample("millrace_view_lag_readings", $"view=\"{ExpositionText.Escape(view.Name)}\"", view.Position.LagBehind(durable));
        text.Begin("millrace_view_skipped_readings_total", "counter", "Readings that retention or damage took from a view.");
        foreach (var view in views)
            text.Sample("millrace_view_skipped_readings_total", $"view=\"{ExpositionText.Escape(view.Name)}\"", view.Skipped);
    }

    private static string Listener(ListenerLedger ledger) => $"listener=\"{ledger.Listener.Name()}\"";
}
