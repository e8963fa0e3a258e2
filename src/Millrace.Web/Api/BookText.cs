using System.Text.Json;
using Millrace.Core;

namespace Millrace.Web.Api;

/// <summary>A listener's books as JSON; reasons that never occurred are left out.</summary>
internal static class BookText
{
    public static void Write(Utf8JsonWriter json, ListenerLedger ledger)
    {
        json.WriteString("name"u8, ledger.Listener.Name());
        json.WriteNumber("received"u8, ledger.Received);
        json.WriteNumber("stored"u8, ledger.Stored);
        json.WriteNumber("inFlight"u8, ledger.InFlight);
        json.WriteStartObject("rejected"u8);
        foreach (var reason in Enum.GetValues<RejectReason>())
        {
            if (ledger.RejectedFor(reason) is var count and > 0)
                json.WriteNumber(reason.Name(), count);
        }

        json.WriteEndObject();
        json.WriteStartObject("dropped"u8);
        foreach (var reason in Enum.GetValues<DropReason>())
        {
            if (ledger.DroppedFor(reason) is var count and > 0)
                json.WriteNumber(reason.Name(), count);
        }

        json.WriteEndObject();
    }
}
