namespace Millrace.Outputs.Live;

/// <summary>
/// The last rows of an output in memory, for the API and the browser. Not delivery: after a restart it fills again. Thread-safe.
/// </summary>
public sealed class LiveOutput(int rowsMax = 1000, int bytesMax = 4 << 20)
{
    private readonly Lock _gate = new();
    private readonly Queue<OutputRow> _rows = new();
    private long _bytes;

    /// <summary>Raised for every row, on the job's thread: handlers must be quick and must not throw.</summary>
    public event Action<OutputRow>? Added;

    public void Add(OutputRow row)
    {
        lock (_gate)
        {
            _rows.Enqueue(row);
            _bytes += row.Json.Length;
            while (_rows.Count > rowsMax || (_bytes > bytesMax && _rows.Count > 1))
                _bytes -= _rows.Dequeue().Json.Length;
        }

        Added?.Invoke(row);
    }

    /// <summary>The newest rows, oldest first.</summary>
    public IReadOnlyList<OutputRow> Last(int count)
    {
        lock (_gate)
            return [.. _rows.Skip(Math.Max(0, _rows.Count - count))];
    }
}
