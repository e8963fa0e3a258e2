namespace Millrace.Commands.Simulate;

/// <summary>
/// Lines in the order they are sent, kept until they are answered, so that a broken connection's unanswered lines can be
/// sent again. One thread adds and sends, another takes answers.
/// </summary>
internal sealed class UnansweredLines
{
    private readonly Lock _gate = new();
    private readonly Queue<Line> _lines = new();
    private byte[] _bytes = new byte[1 << 16];
    private int _head;
    private int _sent;
    private int _tail;

    internal readonly record struct Line(int Device, long Mark, int Length, long AddedAt);

    public int Count
    {
        get
        {
            lock (_gate)
                return _lines.Count;
        }
    }

    /// <summary>Adds a line; the bytes of what was added before may move, so no send may be under way.</summary>
    public void Add(ReadOnlySpan<byte> line, int device, long mark, long timestamp)
    {
        lock (_gate)
        {
            if (_tail + line.Length > _bytes.Length)
                MakeRoom(line.Length);
            line.CopyTo(_bytes.AsSpan(_tail));
            _tail += line.Length;
            _lines.Enqueue(new Line(device, mark, line.Length, timestamp));
        }
    }

    /// <summary>The bytes that have not been sent; valid until the next <see cref="Add"/>.</summary>
    public ReadOnlyMemory<byte> Unsent
    {
        get
        {
            lock (_gate)
                return _bytes.AsMemory(_sent, _tail - _sent);
        }
    }

    public void MarkSent(int bytes)
    {
        lock (_gate)
            _sent += bytes;
    }

    /// <summary>Takes the oldest line, whose answer has come (or is not waited for).</summary>
    public bool TryTake(out Line line)
    {
        lock (_gate)
        {
            if (!_lines.TryDequeue(out line))
                return false;
            _head += line.Length;
            return true;
        }
    }

    /// <summary>A new connection begins: whatever is unanswered is to be sent from the start.</summary>
    /// <returns>The lines that had been sent, wholly or in part, and go out once more.</returns>
    public int Rewind()
    {
        lock (_gate)
        {
            var again = 0;
            var at = _head;
            foreach (var line in _lines)
            {
                if (at >= _sent)
                    break;
                at += line.Length;
                again++;
            }

            _sent = _head;
            return again;
        }
    }

    private void MakeRoom(int bytes)
    {
        var kept = _tail - _head;
        var target = kept + bytes > _bytes.Length / 2 ? new byte[_bytes.Length * 2] : _bytes;
        Buffer.BlockCopy(_bytes, _head, target, 0, kept);
        (_bytes, _sent, _tail, _head) = (target, _sent - _head, kept, 0);
    }
}
