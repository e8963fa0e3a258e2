using System.Text;
using System.Text.Json;
using Millrace.StreamSql;

namespace Millrace.Commands.Query;

/// <summary>A file of events, one JSON object per line, with the arrival time of each.</summary>
/// <remarks>Arrival never goes back: a line that would, arrives with the line before it.</remarks>
internal sealed class EventFile : IDisposable
{
    /// <summary>Longest line; a file without line ends must not fill the memory.</summary>
    private const int LineBytesMax = 64 << 20;

    private readonly string path;
    private readonly FileStream stream;
    private readonly List<EventTimeReader> clocks;
    private readonly EventTimeReader wrapper = EventTimeReader.ForField("t");
    private byte[] buffer = new byte[1 << 20];
    private int start;
    private int end;
    private bool isLast;
    private long line;

    public EventFile(string path, int ordinal, List<EventTimeReader> clocks)
    {
        this.path = path;
        this.clocks = clocks;
        Ordinal = ordinal;
        stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite, bufferSize: 0);
    }

    public int Ordinal { get; }

    public long ArrivalTicks { get; private set; } = DateTime.UnixEpoch.Ticks;

    /// <summary>The event of the current line, valid until the next call of <see cref="MoveNext"/>.</summary>
    public ReadOnlyMemory<byte> Event { get; private set; }

    public long ReadBytes => stream.Position;

    public long TotalBytes => stream.Length;

    public bool MoveNext()
    {
        while (TryReadLine(out var text))
        {
            if (text.Span.Trim(" \t\r"u8).Length == 0)
                continue;
            line++;
            if (!TryUnwrap(text))
            {
                Event = text;
                SetArrival(ArrivalOf(text.Span));
            }

            return true;
        }

        return false;
    }

    private void SetArrival(long ticks) => ArrivalTicks = Math.Max(ArrivalTicks, ticks);

    private long ArrivalOf(ReadOnlySpan<byte> text)
    {
        foreach (var clock in clocks)
        {
            if (clock.TryRead(text, out var ticks))
                return ticks;
        }

        // Where some lines have a time and this one has none, it arrives with the line before it.
        return clocks.Count > 0 && ArrivalTicks > DateTime.UnixEpoch.Ticks + (line * TimeSpan.TicksPerSecond)
            ? ArrivalTicks
            : DateTime.UnixEpoch.Ticks + ((line - 1) * TimeSpan.TicksPerSecond);
    }

    /// <summary>A line {"t": …, "event": {…}} or {"t": …, "raw": "…"} tells arrival and event apart.</summary>
    private bool TryUnwrap(ReadOnlyMemory<byte> text)
    {
        if (text.Span.IndexOf("\"t\""u8) < 0 || (text.Span.IndexOf("\"event\""u8) < 0 && text.Span.IndexOf("\"raw\""u8) < 0))
            return false;
        try
        {
            var reader = new Utf8JsonReader(text.Span, new JsonReaderOptions { MaxDepth = 1024 });
            ReadOnlyMemory<byte>? inner = null;
            var fields = 0;
            reader.Read();
            while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
            {
                fields++;
                var isEvent = reader.ValueTextEquals("event"u8);
                var isRaw = reader.ValueTextEquals("raw"u8);
                reader.Read();
                var start = (int)reader.TokenStartIndex;
                if (isRaw && reader.TokenType == JsonTokenType.String)
                    inner = Encoding.UTF8.GetBytes(reader.GetString()!);
                reader.Skip();
                if (isEvent)
                    inner = text[start..(int)reader.BytesConsumed];
            }

            if (reader.Read() || fields != 2 || inner is not { } found || !wrapper.TryRead(text.Span, out var arrival))
                return false;
            Event = found;
            SetArrival(arrival);
            return true;
        }
        catch (JsonException)
        {
            return false;       // not JSON: the query counts it as a bad event
        }
    }

    private bool TryReadLine(out ReadOnlyMemory<byte> text)
    {
        var searched = 0;
        while (true)
        {
            var at = buffer.AsSpan(start + searched, end - start - searched).IndexOf((byte)'\n');
            if (at >= 0)
            {
                text = buffer.AsMemory(start, searched + at);
                start += searched + at + 1;
                return true;
            }

            searched = end - start;
            if (isLast)
            {
                text = buffer.AsMemory(start, searched);
                start = end;
                return searched > 0;
            }

            Fill();
        }
    }

    private void Fill()
    {
        if (start > 0)
        {
            buffer.AsSpan(start, end - start).CopyTo(buffer);
            end -= start;
            start = 0;
        }
        else if (end == buffer.Length)
        {
            if (buffer.Length >= LineBytesMax)
                throw new InvalidDataException($"{path}: line {line + 1} is longer than 64 MiB");
            Array.Resize(ref buffer, buffer.Length * 2);
        }

        var isFirst = stream.Position == 0;
        var read = isFirst ? stream.ReadAtLeast(buffer, 3, throwOnEndOfStream: false) : stream.Read(buffer, end, buffer.Length - end);
        end += read;
        isLast = read == 0;
        if (isFirst && buffer.AsSpan(0, end).StartsWith("\uFEFF"u8))
            start = 3;
    }

    public void Dispose() => stream.Dispose();
}
