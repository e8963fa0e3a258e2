using System.Globalization;
using Microsoft.Extensions.Logging;
using Millrace.Core;

namespace Millrace.Processing.Latest;

/// <summary>The snapshot files of the table in one folder: two per partition, the newest readable one counts.</summary>
internal sealed class LatestSnapshots(string folder, DeviceTable table, ILogger logger)
{
    private const string Ending = ".snapshot";

    /// <summary>Times a shard that grows while it is written is begun again.</summary>
    private const int RestartsMax = 8;

    private readonly long[] _saved = [.. Enumerable.Repeat(-1L, table.Partitions)];

    /// <summary>Fills the table, shards in parallel; returns where to read on.</summary>
    public PositionVector Load(CancellationToken cancel)
    {
        Directory.CreateDirectory(folder);
        var position = new PositionVector(table.Partitions);
        Parallel.For(0, table.Partitions, new ParallelOptions { CancellationToken = cancel }, partition => position[partition] = LoadShard(partition));
        return position;
    }

    /// <summary>Saves every shard that has moved since it was saved last.</summary>
    public void Save(PositionVector position, CancellationToken cancel)
    {
        for (var partition = 0; partition < table.Partitions; partition++)
        {
            if (_saved[partition] == position[partition])
                continue;
            SaveShard(partition, position[partition], cancel);
            _saved[partition] = position[partition];
        }
    }

    private long LoadShard(int partition)
    {
        foreach (var (_, path) in FilesOf(partition))
        {
            using var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, 1 << 18, FileOptions.SequentialScan);
            if (SnapshotFile.Read(file, table.Shards[partition], partition, table.Partitions, table) is { } position)
            {
                _saved[partition] = position;
                return position;
            }

            LatestLog.SnapshotUnreadable(logger, path);
        }

        return 0;
    }

    private void SaveShard(int partition, long position, CancellationToken cancel)
    {
        var files = FilesOf(partition);
        var number = files.Count > 0 ? files[0].Number + 1 : 1;
        var path = Path.Combine(folder, $"latest-{partition:0000}-{number:000000000000}{Ending}");
        using (var file = new FileStream(path + ".new", FileMode.Create, FileAccess.Write, FileShare.None, 0))
        {
            var restarts = 0;
            while (!SnapshotFile.Write(file, table.Shards[partition], partition, table.Partitions, position, cancel))
            {
                if (++restarts > RestartsMax)
                    throw new IOException($"partition {partition} of the latest values grew too fast to be saved");
                file.SetLength(0);
            }

            file.Flush(flushToDisk: true);
        }

        File.Move(path + ".new", path);
        foreach (var (_, old) in files.Skip(1))
            File.Delete(old);
    }

    /// <summary>Newest first.</summary>
    private List<(long Number, string Path)> FilesOf(int partition)
    {
        var start = $"latest-{partition:0000}-";
        List<(long Number, string Path)> files = [];
        foreach (var path in Directory.EnumerateFiles(folder, start + "*" + Ending))
        {
            var name = Path.GetFileName(path.AsSpan());
            if (long.TryParse(name[start.Length..^Ending.Length], NumberStyles.None, CultureInfo.InvariantCulture, out var number))
                files.Add((number, path));
        }

        files.Sort((a, b) => b.Number.CompareTo(a.Number));
        return files;
    }
}
