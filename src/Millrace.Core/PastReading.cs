using System.Text;

namespace Millrace.Core;

/// <summary>A reading out of the history, lent by a replay until its next one. Times in µs UTC.</summary>
public sealed class PastReading
{
    private byte[] _buffer = [];
    private int _device;
    private int _deviceLength;
    private int _body;
    private int _bodyLength;

    public ushort Tenant { get; private set; }

    public int Partition { get; private set; }

    /// <summary>Not known, and 0, of readings in pieces; so is <see cref="Time"/>.</summary>
    public long Sequence { get; private set; }

    /// <summary>Event time: the device's own, or the arrival (see <see cref="Micros.EventTime"/>).</summary>
    public long Time { get; private set; }

    public long ReceivedAt { get; private set; }

    /// <summary>The id in UTF-8.</summary>
    public ReadOnlySpan<byte> Device => _buffer.AsSpan(_device, _deviceLength);

    /// <summary>Whether the wanted members come one by one; else as JSON.</summary>
    public bool IsInPieces { get; private set; }

    /// <summary>The payload's JSON view, with at least the wanted members, put together from columns and rest.</summary>
    public ReadOnlyMemory<byte> Json => _buffer.AsMemory(_body, IsInPieces ? 0 : _bodyLength);

    /// <summary>The wanted members that the payload has.</summary>
    public FieldPieces Pieces => new(_buffer, _body, IsInPieces ? _body + _bodyLength : _body);

    /// <summary>Where the bytes of the device and of texts lie.</summary>
    public byte[] Buffer => _buffer;

    public int DeviceStart => _device;

    /// <summary>A copy that stays; of a reading as JSON.</summary>
    public ArchivedReading Keep() => new(Tenant, Encoding.UTF8.GetString(Device), Time, ReceivedAt, Partition, Sequence, Json.ToArray());

    /// <summary>Becomes another reading.</summary>
    public void Set(ushort tenant, int partition, long sequence, long time, long receivedAt)
    {
        (Tenant, Partition, Sequence, Time, ReceivedAt) = (tenant, partition, sequence, time, receivedAt);
    }

    /// <summary>Where id and body lie; the body comes behind the id.</summary>
    public void SetBytes(byte[] buffer, int device, int deviceLength, int bodyLength, bool isInPieces)
    {
        (_buffer, _device, _deviceLength, _body, _bodyLength, IsInPieces) = (buffer, device, deviceLength, device + deviceLength, bodyLength, isInPieces);
    }
}
