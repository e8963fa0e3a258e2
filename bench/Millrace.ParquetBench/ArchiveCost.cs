using System.Diagnostics;
using System.Globalization;
using System.Text;
using Microsoft.Extensions.Logging.Abstractions;
using Millrace.Core;
using Millrace.History.Archive;
using Millrace.Parquet;

namespace Millrace.ParquetBench;

/// <summary>
/// What the server's own archive costs and how large its merged files are: readings as they lie in the log, through the view and all merges.
/// </summary>
internal sealed class ArchiveCost(string folder)
{
    private const int Partitions = 8;

    /// <summary>What a million meters send at one packet per thirty seconds.</summary>
    private const int FleetRate = 33_334;

    /// <summary>A group of the journal closes after 5 ms; at that rate a partition's block has so many.</summary>
    private const int BlockReadings = 21;

    public void Run(int readings)
    {
        Measure($"{readings:N0} readings of 430-byte JSON, 22 fields, 1,000,000 devices", Fleet(readings), FleetRate);
        var sample = new Sample(devices: 100, perDevice: 2880, seed: 1);
        Measure("the six-column sample as JSON: 100 devices x 24 h x 30 s", OfSample(sample), sample.Rows / 86_400.0);
    }

    /// <param name="rate">Readings a second, by their arrivals.</param>
    private void Measure(string what, IEnumerable<(string Device, long Time, string Json)> readings, double rate)
    {
        var root = Path.Combine(folder, "history");
        var view = new ArchiveView(new LocalHistoryStore(root), new ArchiveOptions(), NullLogger.Instance);
        view.OpenAsync(new EmptyLog(), default).AsTask().Wait();
        long rows = 0;
        var taking = TimeSpan.Zero;
        var checkpoint = long.MinValue;
        foreach (var blocks in Blocks(readings, rate).Chunk(256))
        {
            // Making the readings is not what is measured.
            var start = Processor();
            foreach (var block in blocks)
            {
                // What the server does once a minute.
                if (block.FirstReceivedAt >= checkpoint)
                {
                    view.CheckpointAsync(new PositionVector(Partitions), default).AsTask().Wait();
                    checkpoint = block.FirstReceivedAt + Micros.PerMinute;
                }

                view.ApplyAsync(block, default).AsTask().Wait();
                rows += block.Count;
            }

            taking += Processor() - start;
        }

        var begin = Processor();
        view.CheckpointAsync(new PositionVector(Partitions), default).AsTask().Wait();
        taking += Processor() - begin;
        var first = Bytes(root);
        begin = Processor();
        while (view.MergeOne())
        {
        }

        var merging = Processor() - begin;
        var files = Directory.GetFiles(root, "*.parquet", SearchOption.AllDirectories);
        Console.WriteLine($"The archive: {what}");
        Console.WriteLine($"  taking in and first files {PerRow(taking)} us of processor time a reading ({rows / taking.TotalSeconds / 1e6:F2} M rows/s), "
            + $"merging {PerRow(merging)} us; at {FleetRate:N0} readings/s {(taking + merging).TotalSeconds / rows * FleetRate:F3} of a core");
        Console.WriteLine($"  {first / (double)rows:F2} bytes a reading in first files, {Bytes(root) / (double)rows:F2} merged ({files.Length} files; {Columns(files, rows)})\n");
        Directory.Delete(root, recursive: true);

        string PerRow(TimeSpan time) => (time.TotalMicroseconds / rows).ToString("F2", CultureInfo.InvariantCulture);
    }

    private static TimeSpan Processor() => Process.GetCurrentProcess().TotalProcessorTime;

    private static long Bytes(string root) => Directory.GetFiles(root, "*.parquet", SearchOption.AllDirectories).Sum(file => new FileInfo(file).Length);

    private static string Columns(string[] files, long rows)
    {
        var bytes = new Dictionary<string, long>();
        foreach (var file in files)
        {
            using var reader = ParquetReader.Open(file);
            foreach (var chunk in reader.RowGroups.SelectMany(group => group.Columns))
                bytes[chunk.Column.Name] = bytes.GetValueOrDefault(chunk.Column.Name) + chunk.CompressedBytes;
        }

        return string.Join(", ", bytes.OrderByDescending(pair => pair.Value).Take(9).Select(pair => $"{pair.Key} {pair.Value / (double)rows:F2}"));
    }

    private static IEnumerable<LogBlock> Blocks(IEnumerable<(string Device, long Time, string Json)> readings, double rate)
    {
        var sequences = new long[Partitions];
        var waiting = Enumerable.Range(0, Partitions).Select(_ => new List<byte>()).ToArray();
        var counts = new int[Partitions];
        var (random, stamp) = (new Random(9), 0L);
        foreach (var (device, time, json) in readings)
        {
            var id = Encoding.UTF8.GetBytes(device);
            var partition = DeviceIds.PartitionOf(DeviceIds.Hash(0, id), Partitions);
            var payload = Encoding.UTF8.GetBytes(json);
            var record = new byte[ReadingRecord.Measure(id.Length, 0, payload.Length)];
            ReadingRecord.Write(record, 0, id, ListenerId.Udp, PayloadFormat.Json, ReadingFlags.None, time, [], payload);
            waiting[partition].AddRange(record);
            // A network takes some milliseconds, the journal stamps in order.
            stamp = Math.Max(stamp + 1, time + random.Next(2000, 8000));
            if (++counts[partition] < (rate > 1000 ? BlockReadings : 1))
                continue;

            yield return new LogBlock(partition, sequences[partition], counts[partition], stamp - counts[partition] + 1, waiting[partition].ToArray());
            sequences[partition] += counts[partition];
            counts[partition] = 0;
            waiting[partition].Clear();
        }
    }

    private static IEnumerable<(string Device, long Time, string Json)> Fleet(int readings)
    {
        var (random, start) = (new Random(3), 1_772_323_200_000_000L);
        for (var i = 0; i < readings; i++)
        {
            var (device, n) = (i % 1_000_000, i / 1_000_000);
            var time = (start + (long)(i * (1e6 / FleetRate))) / 1000 * 1000;
            var used = 100_000 + (device % 1000 * 777) + (n * 13);
            var json = $$"""{"id":"sim-{{device:D7}}","n":{{n}},"time":"{{Iso(time)}}","type":2,"code":1,"bought":{{Thousandths(used + 50_000)}},"left":50.000,"used":{{Thousandths(used)}},"status":4,"version":"v1.0","temperature":{{Thousandths(12_000 + random.Next(9000))}},"pressure":{{Thousandths(1900 + random.Next(300))}},"battery":{"volts":3.600,"days":3650},"radio":{"gateway":"fffe0201000000{{device % 131:x2}}","channel":{{random.Next(8)}},"rssi":-{{60 + random.Next(60)}},"snr":{{random.Next(12)}},"datarate":"SF12BW125"},"site":{"zone":"Z{{device % 40:x2}}","building":{{device / 120}}},"serial":""";
            yield return ($"sim-{device:D7}", time, $"{json}\"{Serial(device, 427 - json.Length)}\"}}");
        }
    }

    private static string Serial(int device, int length) => string.Create(Math.Max(0, length), device, (text, d) =>
    {
        for (var i = 0; i < text.Length; i++)
            text[i] = (char)('0' + ((d + i) % 10));
    });

    private static IEnumerable<(string Device, long Time, string Json)> OfSample(Sample sample)
    {
        var order = Enumerable.Range(0, sample.Rows).ToArray();
        Array.Sort(sample.Times.ToArray(), order);
        foreach (var row in order)
        {
            var device = Encoding.ASCII.GetString(sample.Devices[row / sample.PerDevice]);
            var time = sample.Times[row] * 1000;
            yield return (device, time,
                $$"""{"id":"{{device}}","time":"{{Iso(time)}}","bought":{{Thousandths(sample.Bought[row])}},"left":{{Thousandths(sample.Left[row])}},"used":{{Thousandths(sample.Used[row])}},"status":{{sample.Status[row]}}}""");
        }
    }

    private static string Iso(long time) => Micros.ToDateTime(time).ToString("yyyy-MM-dd'T'HH:mm:ss.fff'Z'", CultureInfo.InvariantCulture);

    private static string Thousandths(long value) => (value / 1000m).ToString("0.000", CultureInfo.InvariantCulture);

    /// <summary>The log as the view asks for it when it is opened.</summary>
    private sealed class EmptyLog : IReadingLog
    {
        public int PartitionCount => Partitions;

        public LogState State => LogState.Accepting;

        public string? StateDetail => null;

        public PositionVector Durable => new(Partitions);

        public PositionVector Oldest => new(Partitions);

        public long ArrivalLowWater => 0;

        public ILogAppender OpenAppender(ListenerLedger ledger, long pendingBytesMax) => throw new NotSupportedException();

        public ILogReader OpenReader(PositionVector from) => throw new NotSupportedException();

        public PositionVector PositionAt(long receivedAt) => throw new NotSupportedException();
    }
}
