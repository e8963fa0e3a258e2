using System.Diagnostics;
using System.Globalization;
using System.Text;
using Microsoft.Extensions.Logging.Abstractions;
using Millrace.Core;
using Millrace.History.Archive;
using Millrace.History.Queries;
using Millrace.History.Rollups.Devices;
using Millrace.History.Rollups.Groups;
using Millrace.Testing;

namespace Millrace.HistoryBench;

/// <summary>A history made from gas meters' readings, as the server makes it: blocks of the log applied to the views.</summary>
internal sealed class Scenario : IDisposable
{
    private const int Partitions = 8;

    private readonly PositionVector _next = new(Partitions);
    private readonly List<byte>[] _records = [.. Enumerable.Range(0, Partitions).Select(_ => new List<byte>())];
    private readonly int[] _counts = new int[Partitions];
    private readonly Random _random = new(1);
    private long _receivedAt;

    public Scenario(bool isSmall)
    {
        IsSmall = isSmall;
        Folder = Directory.CreateTempSubdirectory("millrace-history-bench-").FullName;
        History = Path.Combine(Folder, "history");
        Archive = new ArchiveView(History, new ArchiveOptions(), NullLogger.Instance);
        Reader = new ArchiveReader(History);
        Rollups = new DeviceRollups(Path.Combine(Folder, "rollups"), Reader, TimeProvider.System, NullLogger.Instance);
        Groups = new GroupRollupView(Path.Combine(Folder, "trends"), new NoDevices(), NullLogger.Instance);
        Log = new NoLog(Partitions);
        Trends = new DeviceTrends(new DeviceReadings(Log, Reader), Rollups);
    }

    public bool IsSmall { get; }

    public string Folder { get; }

    public string History { get; }

    public ArchiveView Archive { get; }

    public ArchiveReader Reader { get; }

    public DeviceRollups Rollups { get; }

    public GroupRollupView Groups { get; }

    public NoLog Log { get; }

    public DeviceTrends Trends { get; }

    public static string Id(int device) => $"meter-{device:D7}";

    /// <summary>Applies every device's readings of a stretch to the views, in order of time.</summary>
    /// <param name="pad">Makes a reading as long as this, in bytes; 0: as short as it is.</param>
    public async Task FillAsync(int devices, DateTime from, DateTime to, TimeSpan every, bool archive = true, bool groups = false, int pad = 0)
    {
        var step = (long)(every.TotalMicroseconds / devices);
        var (at, end) = (Micros.FromDateTime(from), Micros.FromDateTime(to));
        if (archive)
            await Archive.OpenAsync(Log, default);
        if (groups)
            await Groups.OpenAsync(Log, default);
        _receivedAt = at;
        for (long n = 0; at < end; n++, at += step)
        {
            _receivedAt = Math.Max(at, _receivedAt + 1);
            Add((int)(n % devices), n / devices, pad);
            if (n % 65_536 == 65_535)
                await FlushAsync(archive, groups);
        }

        await FlushAsync(archive, groups);
        if (archive)
            await Archive.CheckpointAsync(_next, default);
        if (groups)
            await Groups.CheckpointAsync(_next, default);
        Log.Move(_next);
        while (archive && Archive.MergeOne())
        {
        }
    }

    /// <summary>Medians and p99 of so many runs.</summary>
    public static (double Median, double P99) Time(int runs, Action<int> run)
    {
        run(0);
        var times = new double[runs];
        for (var i = 0; i < runs; i++)
        {
            var start = Stopwatch.GetTimestamp();
            run(i);
            times[i] = Stopwatch.GetElapsedTime(start).TotalMilliseconds;
        }

        Array.Sort(times);
        return (times[runs / 2], times[(int)(runs * 0.99)]);
    }

    public void Dispose()
    {
        Groups.Dispose();
        Directory.Delete(Folder, recursive: true);
    }

    private void Add(int device, long round, int pad)
    {
        var id = Encoding.UTF8.GetBytes(Id(device));
        var used = 20_000 + device % 1000 + round * 0.004;
        var text = string.Create(CultureInfo.InvariantCulture,
            $"{{\"id\":\"{Id(device)}\",\"bought\":{1_000_000},\"left\":{Math.Round(1_000_000 - used, 3)},\"used\":{Math.Round(used, 3)},\"flow\":{_random.Next(100) / 100.0},\"battery\":3.6,\"status\":{(device + round) % 50 / 49},\"rssi\":{-70 - _random.Next(30)}");
        text += pad > text.Length + 12 ? $",\"note\":\"{new string('x', pad - text.Length - 11)}\"}}" : "}";
        var payload = Encoding.UTF8.GetBytes(text);
        var partition = DeviceIds.PartitionOf(DeviceIds.Hash(0, id), Partitions);
        var record = new byte[ReadingRecord.Measure(id.Length, 0, payload.Length)];
        ReadingRecord.Write(record, 0, id, ListenerId.Http, PayloadFormat.Json, ReadingFlags.None, _receivedAt, [], payload);
        _records[partition].AddRange(record);
        _counts[partition]++;
    }

    private async Task FlushAsync(bool archive, bool groups)
    {
        for (var p = 0; p < Partitions; p++)
        {
            if (_counts[p] == 0)
                continue;
            var block = new LogBlock(p, _next[p], _counts[p], _receivedAt + 1, _records[p].ToArray());
            _receivedAt += _counts[p] + 1;
            if (archive)
                await Archive.ApplyAsync(block, default);
            if (groups)
                await Groups.ApplyAsync(block, default);
            _next[p] = block.NextSequence;
            _records[p].Clear();
            _counts[p] = 0;
        }
    }
}
