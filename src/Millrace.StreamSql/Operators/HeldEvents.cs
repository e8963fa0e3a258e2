using Millrace.StreamSql.State;

namespace Millrace.StreamSql.Operators;

/// <summary>
/// The events of rows that wait in an operator and may still fail: what their dead letters tell. Payloads are kept as long as
/// they take little memory in all, arrival and device always.
/// </summary>
internal sealed class HeldEvents
{
    /// <summary>Payloads beyond are not kept: a wait of hours on a busy input must not cost its whole traffic.</summary>
    private const long PayloadBytesMax = 16 * 1024 * 1024;

    private sealed class Held
    {
        public EventOrigin Origin;
        public byte[]? Payload;
        public int Rows;
    }

    private readonly Dictionary<long, Held> held = [];
    private long payloadBytes;

    public long HeldBytes => payloadBytes + (held.Count * 160L);

    /// <summary>A row of an event is going to wait.</summary>
    /// <param name="number">Of the event; 0 for a row of several.</param>
    /// <param name="current">The event under way, which the row is of unless it has waited before.</param>
    /// <param name="payload">Of the current event.</param>
    public void Hold(long number, in EventOrigin current, ReadOnlySpan<byte> payload)
    {
        if (number <= 0)
            return;
        if (held.TryGetValue(number, out var known))
        {
            known.Rows++;
            return;
        }

        if (number != current.Number)
            return;
        var added = new Held { Origin = current, Rows = 1 };
        if (payloadBytes + payload.Length <= PayloadBytesMax)
        {
            added.Payload = payload.ToArray();
            payloadBytes += payload.Length;
        }

        held.Add(number, added);
    }

    /// <summary>The row waits no longer.</summary>
    public void Release(long number)
    {
        if (number <= 0 || !held.TryGetValue(number, out var known) || --known.Rows > 0)
            return;
        payloadBytes -= known.Payload?.Length ?? 0;
        held.Remove(number);
    }

    public bool TryGet(long number, out EventOrigin origin, out ReadOnlyMemory<byte> payload)
    {
        var found = held.TryGetValue(number, out var known);
        origin = known?.Origin ?? default;
        payload = known?.Payload;
        return found;
    }

    /// <summary>Writes nothing when nothing is held.</summary>
    public void Save(StateWriter writer)
    {
        if (held.Count == 0)
            return;
        writer.Write(held.Count);
        foreach (var (number, known) in held.OrderBy(h => h.Key))
        {
            writer.Write(number);
            writer.Write(known.Rows);
            writer.Write(known.Origin.Arrival);
            writer.Write(known.Origin.Partition);
            writer.Write(known.Origin.Device ?? "");
            writer.Write(known.Payload is not null);
            writer.WriteBytes(known.Payload);
        }
    }

    public void Load(StateReader reader)
    {
        if (reader.IsAtEnd)
            return;
        for (var count = reader.ReadCount(); count > 0; count--)
        {
            var number = reader.ReadLong();
            var known = new Held { Rows = reader.ReadInt() };
            known.Origin = new EventOrigin { Number = number, Arrival = reader.ReadLong(), Partition = reader.ReadInt() };
            var device = reader.ReadString();
            known.Origin.Device = device.Length == 0 ? null : device;
            var hasPayload = reader.ReadBool();
            var payload = reader.ReadBytes();
            known.Payload = hasPayload ? payload : null;
            payloadBytes += payload.Length;
            held[number] = known;
        }
    }
}
