using System.Buffers;
using System.Buffers.Binary;

namespace Millrace.Core;

/// <summary>Properties of a reading (name → bytes): per entry u8 name length, name, u16 value length, value.</summary>
public static class ReadingProperties
{
    public const int BytesMax = ushort.MaxValue;

    /// <summary>Address of the sender as text.</summary>
    public static ReadOnlySpan<byte> RemoteAddress => "ip"u8;

    /// <summary>Name of the one job that a reading is meant for: an event driven again, which everything else has seen before.</summary>
    public static ReadOnlySpan<byte> Job => "job"u8;

    /// <summary>Appends one property to a buffer that becomes the record's properties.</summary>
    public static void Append(IBufferWriter<byte> target, ReadOnlySpan<byte> name, ReadOnlySpan<byte> value)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(name.Length, byte.MaxValue);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(value.Length, ushort.MaxValue);
        var span = target.GetSpan(3 + name.Length + value.Length);
        span[0] = (byte)name.Length;
        name.CopyTo(span[1..]);
        BinaryPrimitives.WriteUInt16LittleEndian(span[(1 + name.Length)..], (ushort)value.Length);
        value.CopyTo(span[(3 + name.Length)..]);
        target.Advance(3 + name.Length + value.Length);
    }

    public static bool TryGet(ReadOnlySpan<byte> properties, ReadOnlySpan<byte> name, out ReadOnlySpan<byte> value)
    {
        while (TryNext(ref properties, out var found, out value))
        {
            if (found.SequenceEqual(name))
                return true;
        }

        value = default;
        return false;
    }

    /// <summary>Takes the next property off the front; false at the end or at a malformed entry.</summary>
    public static bool TryNext(scoped ref ReadOnlySpan<byte> rest, out ReadOnlySpan<byte> name, out ReadOnlySpan<byte> value)
    {
        name = value = default;
        if (rest.Length < 3 || rest.Length < 3 + rest[0])
            return false;
        int nameLength = rest[0];
        int valueLength = BinaryPrimitives.ReadUInt16LittleEndian(rest[(1 + nameLength)..]);
        if (rest.Length < 3 + nameLength + valueLength)
            return false;
        name = rest.Slice(1, nameLength);
        value = rest.Slice(3 + nameLength, valueLength);
        rest = rest[(3 + nameLength + valueLength)..];
        return true;
    }
}
