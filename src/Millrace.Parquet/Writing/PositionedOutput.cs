namespace Millrace.Parquet.Writing;

/// <summary>A stream that is only appended to, and how far it is: offsets in the file come from here, never from seeking.</summary>
internal sealed class PositionedOutput(Stream stream)
{
    public long Position { get; private set; }

    public void Write(ReadOnlySpan<byte> bytes)
    {
        if (bytes.IsEmpty)
            return;

        stream.Write(bytes);
        Position += bytes.Length;
    }

    public void Flush() => stream.Flush();
}
