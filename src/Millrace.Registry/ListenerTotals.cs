using Dapper;
using Millrace.Core;

namespace Millrace.Registry;

/// <summary>
/// What each listener counted since the data folder was made: the totals of earlier runs plus the ledger of this one.
/// Saved now and then and at stop; a crash forgets what was counted since, never what was stored in the log.
/// </summary>
public sealed class ListenerTotals
{
    public const string Received = "received";
    public const string Stored = "stored";

    private readonly SqliteDatabase _database;
    private readonly Dictionary<(int Listener, string Counter), long> _before = [];

    public ListenerTotals(SqliteDatabase database)
    {
        ArgumentNullException.ThrowIfNull(database);
        _database = database;
        foreach (var row in database.Read(c => c.Query<(long Listener, string Counter, long Readings)>(
            "SELECT listener, counter, readings FROM listener_totals").ToList()))
            _before[((int)row.Listener, row.Counter)] = row.Readings;
    }

    /// <summary>Counters by name: received, stored, rejected:REASON, dropped:REASON.</summary>
    public IReadOnlyDictionary<string, long> Totals(ListenerLedger ledger)
    {
        ArgumentNullException.ThrowIfNull(ledger);
        var totals = new Dictionary<string, long>();
        foreach (var ((listener, counter), readings) in _before)
        {
            if (listener == (int)ledger.Listener)
                totals[counter] = readings;
        }

        foreach (var (counter, readings) in Counters(ledger))
            totals[counter] = totals.GetValueOrDefault(counter) + readings;
        return totals;
    }

    public void Save(IReadOnlyCollection<ListenerLedger> ledgers)
    {
        ArgumentNullException.ThrowIfNull(ledgers);
        var rows = ledgers.SelectMany(ledger => Totals(ledger).Select(total =>
            new { listener = (int)ledger.Listener, counter = total.Key, readings = total.Value })).ToList();
        _database.Write((c, t) => c.Execute(
            """
            INSERT INTO listener_totals VALUES(@listener, @counter, @readings)
            ON CONFLICT DO UPDATE SET readings=excluded.readings
            """, rows, t));
    }

    private static IEnumerable<(string Counter, long Readings)> Counters(ListenerLedger ledger)
    {
        yield return (Received, ledger.Received);
        yield return (Stored, ledger.Stored);
        foreach (var reason in Enum.GetValues<RejectReason>())
        {
            if (ledger.RejectedFor(reason) is > 0 and var readings)
                yield return ("rejected:" + reason.Name(), readings);
        }

        foreach (var reason in Enum.GetValues<DropReason>())
        {
            if (ledger.DroppedFor(reason) is > 0 and var readings)
                yield return ("dropped:" + reason.Name(), readings);
        }
    }
}
