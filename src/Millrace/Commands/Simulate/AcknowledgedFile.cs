using System.Buffers;

namespace Millrace.Commands.Simulate;

/// <summary>
/// One line per acknowledged reading: <c>partition:sequence id mark</c>, or <c>- id mark</c> where the protocol's answer
/// names no position. To be compared with the log's dump after a crash. Thread-safe per batch.
/// </summary>
internal sealed class AcknowledgedFile : IDisposable
{
    private readonly Lock _gate = new();
    private readonly FileStream _file;

    public AcknowledgedFile(string path) => _file = new FileStream(path, FileMode.Create, FileAccess.Write, FileShare.Read, 1 << 20);

    public void Append(ReadOnlySpan<byte> lines)
    {
        lock (_gate)
            _file.Write(lines);
    }

    public void Dispose() => _file.Dispose();

    /// <summary>Adds one line to a sender's own batch.</summary>
    public static void Format(ArrayBufferWriter<byte> batch, ReadOnlySpan<byte> position, Fleet fleet, int device, long mark)
    {
        Span<byte> bytes = stackalloc byte[512];
        var line = new Utf8Line(bytes);
        line.Add(position);
        line.Add((byte)' ');
        line.Advance(fleet.WriteId(device, line.Rest));
        line.Add((byte)' ');
        line.Add(mark);
        line.Add((byte)'\n');
        batch.Write(bytes[..line.Length]);
    }

    /// <summary>Writes out a sender's batch and empties it.</summary>
    public void Append(ArrayBufferWriter<byte> batch)
    {
        Append(batch.WrittenSpan);
        batch.ResetWrittenCount();
    }
}
