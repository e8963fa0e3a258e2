using Millrace.Core;
using Millrace.History.Archive;

namespace Millrace.Commands.Transfer;

/// <summary>A folder of Parquet files <c>part-000000.parquet</c>, each whole or not there.</summary>
internal sealed class PartSink : IReadingSink
{
    private const int PartRows = 500_000;
    private const int PartBytes = 256 << 20;

    private readonly string _folder;
    private readonly ReadingFile _readings = new();
    private long _parts;

    public PartSink(string folder, long parts)
    {
        (_folder, _parts) = (folder, parts);
        Directory.CreateDirectory(folder);
    }

    public bool IsFull => _readings.Count >= PartRows || _readings.ByteCount >= PartBytes;

    public void Add(in ReadingRecord record, int partition) => _readings.Add(record, partition);

    public long Flush()
    {
        if (_readings.Count == 0)
            return _parts;
        var path = Path.Combine(_folder, $"part-{_parts:D6}.parquet");
        _readings.Write(path + ".tmp");
        File.Move(path + ".tmp", path, overwrite: true);
        return ++_parts;
    }

    public void Dispose()
    {
        // Every part is closed when it is written.
    }
}
