using System.Buffers.Binary;

namespace Millrace.Core;

/// <summary>
/// One stored reading, seen in place. A record is (little-endian): u32 length of the whole record, u8 format, u8 listener,
/// u8 flags, u8 id length, u16 tenant, u16 properties length, i64 device time in µs (<see cref="Micros.None"/> if none),
/// then id, properties and payload. Arrival time and sequence follow from the block: first + index.
/// The bytes belong to the block; they are valid as long as the block is.
/// </summary>
public readonly ref struct ReadingRecord
{
    public const int HeaderBytes = 20;

    /// <summary>The longest record. Listeners refuse larger payloads long before.</summary>
    public const int LengthMax = 4 << 20;

    private readonly ReadOnlySpan<byte> _bytes;

    /// <param name="bytes">Exactly one record that passed <see cref="TryMeasure"/>.</param>
    public ReadingRecord(ReadOnlySpan<byte> bytes, long sequence, long receivedAt)
    {
        _bytes = bytes;
        Sequence = sequence;
        ReceivedAt = receivedAt;
    }

    public long Sequence { get; }

    /// <summary>Arrival, µs since the epoch; strictly increasing over the whole log of a node.</summary>
    public long ReceivedAt { get; }

    public ReadOnlySpan<byte> Bytes => _bytes;
    public PayloadFormat Format => (PayloadFormat)_bytes[4];
    public ListenerId Listener => (ListenerId)_bytes[5];
    public ReadingFlags Flags => (ReadingFlags)_bytes[6];
    public ushort Tenant => BinaryPrimitives.ReadUInt16LittleEndian(_bytes[8..]);
    public long DeviceTime => BinaryPrimitives.ReadInt64LittleEndian(_bytes[12..]);
    public long EventTime => Micros.EventTime(DeviceTime, ReceivedAt);
    public ReadOnlySpan<byte> Id => _bytes.Slice(HeaderBytes, _bytes[7]);
    public ReadOnlySpan<byte> Properties => _bytes.Slice(HeaderBytes + _bytes[7], PropertiesLength);
    public ReadOnlySpan<byte> Payload => _bytes[(HeaderBytes + _bytes[7] + PropertiesLength)..];

    private int PropertiesLength => BinaryPrimitives.ReadUInt16LittleEndian(_bytes[10..]);

    /// <summary>Whether it is an event driven again for one job: other jobs and the views of the past have it already.</summary>
    public bool IsForOneJob => PropertiesLength > 0 && TryGetProperty(ReadingProperties.Job, out _);

    /// <summary>Finds a property by name.</summary>
    public bool TryGetProperty(ReadOnlySpan<byte> name, out ReadOnlySpan<byte> value) =>
        ReadingProperties.TryGet(Properties, name, out value);

    /// <summary>The length of the record at the start of <paramref name="bytes"/>, checked against its inner lengths.</summary>
    /// <returns>False when the bytes do not hold one whole, consistent record.</returns>
    public static bool TryMeasure(ReadOnlySpan<byte> bytes, out int length)
    {
        length = 0;
        if (bytes.Length < HeaderBytes)
            return false;
        var said = BinaryPrimitives.ReadUInt32LittleEndian(bytes);
        var inner = HeaderBytes + bytes[7] + BinaryPrimitives.ReadUInt16LittleEndian(bytes[10..]);
        if (said > LengthMax || said > bytes.Length || said < inner)
            return false;
        length = (int)said;
        return true;
    }

    /// <summary>Writes a record; <paramref name="target"/> must be as long as <see cref="Measure"/> says.</summary>
    public static void Write(
        Span<byte> target, ushort tenant, ReadOnlySpan<byte> id, ListenerId listener, PayloadFormat format,
        ReadingFlags flags, long deviceTime, ReadOnlySpan<byte> properties, ReadOnlySpan<byte> payload)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(target, (uint)target.Length);
        target[4] = (byte)format;
        target[5] = (byte)listener;
        target[6] = (byte)flags;
        target[7] = (byte)id.Length;
        BinaryPrimitives.WriteUInt16LittleEndian(target[8..], tenant);
        BinaryPrimitives.WriteUInt16LittleEndian(target[10..], (ushort)properties.Length);
        BinaryPrimitives.WriteInt64LittleEndian(target[12..], deviceTime);
        id.CopyTo(target[HeaderBytes..]);
        properties.CopyTo(target[(HeaderBytes + id.Length)..]);
        payload.CopyTo(target[(HeaderBytes + id.Length + properties.Length)..]);
    }

    public static int Measure(int idLength, int propertiesLength, int payloadLength) =>
        HeaderBytes + idLength + propertiesLength + payloadLength;
}
