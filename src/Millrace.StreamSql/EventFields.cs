using Millrace.StreamSql.Expressions;
using Millrace.StreamSql.Values;

namespace Millrace.StreamSql;

/// <summary>
/// The fields of the event that is given next to an input, by their numbers in <see cref="QueryExecution.PathsOf"/>. A field that is not set is
/// one that the event does not have. Buffers have to stay as they are until the event was pushed. Hot.
/// </summary>
public sealed class EventFields
{
    internal EventFields(Row row) => Row = row;

    internal Row Row { get; }

    internal Value Device { get; private set; }

    internal long TextBytes { get; private set; }

    /// <summary>Begins an event that has no field yet.</summary>
    /// <param name="buffer">Has the id of the device that sent it, in UTF-8.</param>
    public void Begin(byte[] buffer, int deviceStart, int deviceLength)
    {
        Array.Clear(Row.Columns);
        TextBytes = deviceLength;
        Device = Value.Slice(Kind.Text, buffer, deviceStart, deviceLength);
    }

    public void SetBit(int path, bool value) => Row.Columns[path] = Value.Of(value);

    public void SetBigint(int path, long value) => Row.Columns[path] = Value.Of(value);

    /// <param name="value">Finite; a number without fraction in the payload is a bigint.</param>
    public void SetFloat(int path, double value) => Row.Columns[path] = Value.Of(value);

    /// <summary>UTF-8 without quotes and escapes.</summary>
    public void SetText(int path, byte[] buffer, int start, int length)
    {
        Row.Columns[path] = Value.Slice(Kind.Text, buffer, start, length);
        TextBytes += length;
    }

    /// <summary>A number as JSON writes it.</summary>
    public void SetDigits(int path, byte[] buffer, int start, int length) => Row.Columns[path] = Value.Slice(Kind.NumberText, buffer, start, length);
}
