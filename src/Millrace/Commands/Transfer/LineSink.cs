using System.Buffers;
using System.Text;
using Millrace.Core;

namespace Millrace.Commands.Transfer;

/// <summary>A file of lines. What lies beyond the length that counts is a rest of a life before.</summary>
internal sealed class LineSink : IReadingSink
{
    private const int FlushBytes = 16 << 20;

    private readonly ILineFormat _format;
    private readonly FileStream _file;
    private readonly ArrayBufferWriter<byte> _lines = new(1 << 20);

    public LineSink(string path, long length, ILineFormat format)
    {
        _format = format;
        _file = new FileStream(path, FileMode.OpenOrCreate, FileAccess.Write, FileShare.Read, bufferSize: 0);
        _file.SetLength(length);
        _file.Position = length;
        if (length == 0)
            _lines.Write(Encoding.UTF8.GetBytes(format.Header));
    }

    public bool IsFull => _lines.WrittenCount >= FlushBytes;

    public void Add(in ReadingRecord record, int partition)
    {
        _format.Write(record, partition, _lines);
        _lines.Write("\n"u8);
    }

    public long Flush()
    {
        _file.Write(_lines.WrittenSpan);
        _file.Flush(flushToDisk: true);
        _lines.ResetWrittenCount();
        return _file.Position;
    }

    public void Dispose() => _file.Dispose();
}
