using System.Text.Json;
using Millrace.Core;
using Millrace.Outputs;

namespace Millrace.Jobs.Running;

/// <summary>
/// When this server was down: between the last sign of life before and the next start. A row that speaks about such a time may say
/// more about the server than about the meter. Thread-safe.
/// </summary>
internal sealed class Downtime
{
    private const int KeptMax = 1000;

    private readonly Lock _gate = new();
    private readonly string _path;
    private readonly List<long[]> _gaps;
    private long _alive;

    private sealed record Stored(long Alive, List<long[]> Gaps);

    public Downtime(string path, TimeProvider time)
    {
        _path = path;
        var stored = File.Exists(path) ? JsonSerializer.Deserialize<Stored>(File.ReadAllBytes(path)) : null;
        _gaps = stored?.Gaps ?? [];
        _alive = time.Now();
        if (stored is not null && _alive > stored.Alive)
            _gaps.Add([stored.Alive, _alive]);
        if (_gaps.Count > KeptMax)
            _gaps.RemoveRange(0, _gaps.Count - KeptMax);
        Save();
    }

    /// <summary>A sign of life.</summary>
    public void Beat(long now)
    {
        lock (_gate)
            _alive = now;
        Save();
    }

    public bool Overlaps(long from, long to)
    {
        lock (_gate)
        {
            for (var i = _gaps.Count - 1; i >= 0 && _gaps[i][1] > from; i--)
            {
                if (_gaps[i][0] < to)
                    return true;
            }

            return false;
        }
    }

    private void Save()
    {
        lock (_gate)
            AtomicFile.Write(_path, JsonSerializer.SerializeToUtf8Bytes(new Stored(_alive, _gaps)));
    }
}
