using System.Text;
using Millrace.StreamSql.Expressions;
using Millrace.StreamSql.Values;

namespace Millrace.StreamSql.State;

/// <summary>Writes operator state; layouts in docs/formats/query-snapshot.md. Little-endian.</summary>
internal sealed class StateWriter(Stream stream) : IDisposable
{
    private readonly BinaryWriter writer = new(stream, Encoding.UTF8, leaveOpen: true);

    public void Write(byte value) => writer.Write(value);

    public void Write(bool value) => writer.Write(value);

    public void Write(int value) => writer.Write(value);

    public void Write(long value) => writer.Write(value);

    public void Write(ulong value) => writer.Write(value);

    public void Write(string value) => WriteBytes(Encoding.UTF8.GetBytes(value));

    public void WriteBytes(ReadOnlySpan<byte> bytes)
    {
        writer.Write(bytes.Length);
        writer.Write(bytes);
    }

    public void Write(in Value value)
    {
        writer.Write((byte)value.Kind);
        if (value.IsSlice)
            WriteBytes(value.Span);
        else if (!value.IsNull)
            writer.Write(value.Bits);
    }

    public void Write(ReadOnlySpan<Value> values)
    {
        writer.Write(values.Length);
        foreach (ref readonly var value in values)
            Write(value);
    }

    public void Write(Row row)
    {
        writer.Write(row.Time);
        writer.Write(row.Event);
        writer.Write(row.Parts?.Length ?? -1);
        if (row.Parts is not null)
        {
            foreach (var part in row.Parts)
                Write(part);
            return;
        }

        Write(row.Columns.AsSpan());
    }

    public void Dispose() => writer.Dispose();
}
