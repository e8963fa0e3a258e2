using System.Text;
using Millrace.StreamSql.Binding;
using Millrace.StreamSql.Expressions;
using Millrace.StreamSql.Json;
using Millrace.StreamSql.Values;

namespace Millrace.StreamSql.Operators;

/// <summary>Adds to an event's row what is not in the payload: system fields, the device's id, declared types.</summary>
internal static class EventCompletion
{
    /// <summary>False when a column cannot be converted to its declared type: <paramref name="column"/>.</summary>
    /// <param name="device">The device's id where the origin does not name it.</param>
    public static bool TryComplete(InputPlan input, in EventOrigin origin, Row row, out string column, in Value device = default)
    {
        column = "";
        foreach (var (slot, field) in input.SystemSlots)
        {
            ref var value = ref row.Columns[slot];
            if (value.Kind != Kind.Missing)
                continue;
            value = field switch
            {
                SystemField.EnqueuedTime => Value.OfTicks(origin.Arrival),
                SystemField.Partition when origin.Partition >= 0 => Value.Of((long)origin.Partition),
                SystemField.Device or SystemField.DeviceAsId when origin.Device is not null => Value.Of(origin.Device),
                SystemField.Device or SystemField.DeviceAsId when device.IsText => device,
                _ => value,
            };
        }

        foreach (var (slot, type, name) in input.Declared)
        {
            ref var value = ref row.Columns[slot];
            if (value.IsNull)
                continue;
            if (!Conversion.TryCast(value, type, out var converted))
            {
                column = name;
                return false;
            }

            value = converted;
        }

        if (input.WholeSlot >= 0 && (input.Declared.Count > 0 || (input.IdSlot >= 0 && origin.Device is not null)))
            Rebuild(input, origin, row);
        return true;
    }

    /// <summary>The event as a record, where its fields are not simply those of the payload.</summary>
    private static void Rebuild(InputPlan input, in EventOrigin origin, Row row)
    {
        var target = new JsonBuffer();
        target.Add((byte)'{');
        var first = true;
        var hasId = false;
        var fields = new FieldEnumerator(row.Columns[input.WholeSlot]);
        while (fields.MoveNext())
        {
            hasId |= JsonText.EqualsIgnoringCase(fields.Name, "id"u8, true);
            if (!first)
                target.Add((byte)',');
            first = false;
            target.Add((byte)'"');
            target.Add(fields.RawName);
            target.Add("\":"u8);
            var name = Encoding.UTF8.GetString(fields.Name);
            var declared = input.Declared.FindIndex(d => d.Name.Equals(name, StringComparison.OrdinalIgnoreCase));
            target.Add(declared < 0 || fields.Value.IsNull ? fields.Value : row.Columns[input.Declared[declared].Slot]);
        }

        if (!hasId && input.IdSlot >= 0 && origin.Device is not null)
        {
            if (!first)
                target.Add((byte)',');
            target.Add("\"id\":"u8);
            target.AddString(Encoding.UTF8.GetBytes(origin.Device));
        }

        target.Add((byte)'}');
        row.Columns[input.WholeSlot] = Value.OfBytes(Kind.Record, target.ToArray());
    }
}
