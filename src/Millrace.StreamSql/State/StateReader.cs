using System.Text;
using Millrace.StreamSql.Expressions;
using Millrace.StreamSql.Values;

namespace Millrace.StreamSql.State;

/// <summary>Whether the state of a key is wanted.</summary>
internal delegate bool KeyFilter(byte[] key);

/// <summary>Reads what <see cref="StateWriter"/> wrote.</summary>
/// <remarks>Lengths are checked against what the snapshot can hold, so that a damaged one fails instead of exhausting memory.</remarks>
internal sealed class StateReader(Stream stream) : IDisposable
{
    private readonly BinaryReader reader = new(stream, Encoding.UTF8, leaveOpen: true);

    /// <summary>Which keys are wanted of the keyed state that is read; null: all. What belongs to others is read and dropped.</summary>
    public KeyFilter? Filter { get; set; }

    public bool Wants(ReadOnlySpan<byte> key) => Filter is null || Filter(key.ToArray());

    public bool IsAtEnd => stream.Position >= stream.Length;

    public byte ReadByte() => reader.ReadByte();

    public bool ReadBool() => reader.ReadBoolean();

    public int ReadInt() => reader.ReadInt32();

    public long ReadLong() => reader.ReadInt64();

    public ulong ReadULong() => reader.ReadUInt64();

    public string ReadString() => Encoding.UTF8.GetString(ReadBytes());

    /// <summary>Reads a number of items that each take at least one byte.</summary>
    public int ReadCount()
    {
        var count = reader.ReadInt32();
        if (count < 0 || (stream.CanSeek && count > stream.Length - stream.Position))
            throw new InvalidDataException("the snapshot is damaged: a length is impossible");
        return count;
    }

    public byte[] ReadBytes()
    {
        var count = ReadCount();
        var bytes = reader.ReadBytes(count);
        return bytes.Length == count ? bytes : throw new EndOfStreamException();
    }

    public Value ReadValue()
    {
        var kind = (Kind)reader.ReadByte();
        if (kind > Kind.Array)
            throw new InvalidDataException("the snapshot is damaged: a value's kind is unknown");
        if (kind >= Kind.Text)
            return Value.OfBytes(kind, ReadBytes());
        return kind <= Kind.Null ? new Value { Kind = kind } : new Value { Kind = kind, Bits = reader.ReadInt64() };
    }

    public Value[] ReadValues()
    {
        var values = new Value[ReadCount()];
        for (var index = 0; index < values.Length; index++)
            values[index] = ReadValue();
        return values;
    }

    public Row ReadRow()
    {
        var row = new Row(0) { Time = reader.ReadInt64(), Event = reader.ReadInt64() };
        var parts = reader.ReadInt32();
        if (parts < 0)
        {
            row.Columns = ReadValues();
            return row;
        }

        if (parts > 1000)
            throw new InvalidDataException("the snapshot is damaged: a joined row has too many parts");
        row.Parts = new Row[parts];
        for (var index = 0; index < parts; index++)
            row.Parts[index] = ReadRow();
        return row;
    }

    public void Dispose() => reader.Dispose();
}
