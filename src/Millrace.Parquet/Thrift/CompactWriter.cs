using System.Text;
using Millrace.Parquet.Encodings;

namespace Millrace.Parquet.Thrift;

/// <summary>Writes the part of Thrift's compact protocol that Parquet's metadata needs.</summary>
internal sealed class CompactWriter(ByteBuffer output)
{
    private readonly Stack<int> _outer = new();
    private int _lastField;

    public void BeginStruct()
    {
        _outer.Push(_lastField);
        _lastField = 0;
    }

    public void EndStruct()
    {
        output.WriteByte(0);
        _lastField = _outer.Pop();
    }

    public void Field(int id, CompactType type)
    {
        var step = id - _lastField;
        if (step is >= 1 and <= 15)
        {
            output.WriteByte((byte)(step << 4 | (int)type));
        }
        else
        {
            output.WriteByte((byte)type);
            output.WriteZigZag(id);
        }

        _lastField = id;
    }

    public void Bool(int id, bool value) => Field(id, value ? CompactType.True : CompactType.False);

    public void I8(int id, sbyte value)
    {
        Field(id, CompactType.I8);
        output.WriteByte((byte)value);
    }

    public void I16(int id, short value)
    {
        Field(id, CompactType.I16);
        output.WriteZigZag(value);
    }

    public void I32(int id, int value)
    {
        Field(id, CompactType.I32);
        output.WriteZigZag(value);
    }

    public void I64(int id, long value)
    {
        Field(id, CompactType.I64);
        output.WriteZigZag(value);
    }

    public void Binary(int id, ReadOnlySpan<byte> value)
    {
        Field(id, CompactType.Binary);
        BinaryValue(value);
    }

    public void String(int id, string value)
    {
        Field(id, CompactType.Binary);
        StringValue(value);
    }

    /// <summary>A field that is a struct; close it with <see cref="EndStruct"/>.</summary>
    public void Struct(int id)
    {
        Field(id, CompactType.Struct);
        BeginStruct();
    }

    public void EmptyStruct(int id)
    {
        Struct(id);
        EndStruct();
    }

    public void List(int id, CompactType element, int count)
    {
        Field(id, CompactType.List);
        if (count < 15)
        {
            output.WriteByte((byte)(count << 4 | (int)element));
        }
        else
        {
            output.WriteByte((byte)(0xF0 | (int)element));
            output.WriteVarint((uint)count);
        }
    }

    public void I32Value(int value) => output.WriteZigZag(value);

    public void I64Value(long value) => output.WriteZigZag(value);

    public void BoolValue(bool value) => output.WriteByte(value ? (byte)1 : (byte)2);

    public void BinaryValue(ReadOnlySpan<byte> value)
    {
        output.WriteVarint((uint)value.Length);
        output.Write(value);
    }

    public void StringValue(string value)
    {
        var length = Encoding.UTF8.GetByteCount(value);
        output.WriteVarint((uint)length);
        output.Advance(Encoding.UTF8.GetBytes(value, output.GetSpan(length)));
    }
}
