using System.Diagnostics;
using Millrace.Parquet;

namespace Millrace.ParquetBench;

/// <summary>Bytes per reading, rows per second written, and rows per second read, ours and DuckDB's by turns in one run.</summary>
internal sealed class Measurements(string folder, DuckDb? duck, int rounds)
{
    private const string Select = "device, time, bought, \"left\", used, status";

    public void Run()
    {
        var day = new Sample(devices: 100, perDevice: 2880, seed: 1);
        Sizes("day: 100 devices x 24 h x 30 s", day);
        Sizes("hour: 2,400 devices x 1 h x 30 s", new Sample(devices: 2400, perDevice: 120, seed: 2));
        Writing(day);
        Reading();
    }

    private void Sizes(string what, Sample sample)
    {
        Console.WriteLine($"Bytes per reading, {what} ({sample.Rows:N0} rows)");
        foreach (var micros in new[] { true, false })
        {
            var ours = Write(sample, micros, "ours.parquet", new ParquetWriterOptions { SortedBy = ["device", "time"] });
            var unit = micros ? "microseconds" : "milliseconds";
            Console.WriteLine($"  ours, {unit}: {ours / (double)sample.Rows:F2}   (decimal, GZIP 9; {Columns("ours.parquet", sample.Rows)})");
            if (duck is null)
                continue;

            // Thousandths in int32, as the smallest DuckDB files have them; every codec that .NET's readers know, then all.
            var time = micros ? "time" : "epoch_ms(time)";
            var best = double.MaxValue;
            var layout = "";
            foreach (var codec in new[] { "gzip", "brotli", "zstd" })
            {
                foreach (var (name, dictionary) in new[] { ("no dictionary", "DICTIONARY_SIZE_LIMIT 1"), ("dictionary", "ROW_GROUP_SIZE 122880") })
                {
                    var file = Path.Combine(folder, "duck.parquet");
                    duck.Run($"COPY (SELECT device, {time} AS time, (bought * 1000)::INTEGER AS bought, (\"left\" * 1000)::INTEGER AS \"left\", (used * 1000)::INTEGER AS used, status FROM read_parquet('{Path.Combine(folder, "ours.parquet")}')) TO '{file}' (FORMAT parquet, COMPRESSION {codec}, PARQUET_VERSION V2, {dictionary})");
                    var size = new FileInfo(file).Length / (double)sample.Rows;
                    if (size < best)
                        (best, layout) = (size, $"int32, V2, {codec}, {name}");
                }
            }

            duck.Run($"COPY (SELECT {Select} FROM read_parquet('{Path.Combine(folder, "ours.parquet")}')) TO '{Path.Combine(folder, "duck.parquet")}' (FORMAT parquet)");
            var defaults = new FileInfo(Path.Combine(folder, "duck.parquet")).Length / (double)sample.Rows;
            Console.WriteLine($"  DuckDB's best: {best:F2} ({layout}), ours / best = {ours / (double)sample.Rows / best:F2}; its defaults: {defaults:F2}");
        }

        Console.WriteLine();
    }

    /// <summary>Where the bytes go.</summary>
    private string Columns(string name, int rows)
    {
        using var reader = ParquetReader.Open(Path.Combine(folder, name));
        return string.Join(", ", reader.Columns.Select((column, i) =>
            $"{column.Name} {reader.RowGroups.Sum(group => group.Columns[i].CompressedBytes) / (double)rows:F2}"));
    }

    private void Writing(Sample sample)
    {
        Console.WriteLine($"Writing, sorted rows, one thread ({sample.Rows:N0} rows a file)");
        var source = Path.Combine(folder, "source.parquet");
        Write(sample, micros: false, "source.parquet", new ParquetWriterOptions());
        duck?.Run($"CREATE OR REPLACE TABLE readings AS SELECT * FROM read_parquet('{source}')");
        (string Name, ParquetWriterOptions Options, string Duck)[] cases =
        [
            ("GZIP 9", new ParquetWriterOptions(), "COMPRESSION gzip, PARQUET_VERSION V2"),
            ("GZIP 6", new ParquetWriterOptions { GzipLevel = 6 }, "COMPRESSION gzip, PARQUET_VERSION V2"),
            ("GZIP 1", new ParquetWriterOptions { GzipLevel = 1 }, "COMPRESSION gzip, PARQUET_VERSION V2"),
            ("SNAPPY", new ParquetWriterOptions { Codec = ParquetCodec.Snappy }, "COMPRESSION snappy, PARQUET_VERSION V2"),
        ];
        foreach (var (name, options, duckOptions) in cases)
        {
            var ours = new List<double>();
            var theirs = new List<double>();
            for (var round = 0; round < rounds; round++)
            {
                var watch = Stopwatch.StartNew();
                Write(sample, micros: false, "ours.parquet", options);
                ours.Add(watch.Elapsed.TotalMilliseconds);
                if (duck is not null)
                    theirs.Add(duck.Run($"COPY readings TO '{Path.Combine(folder, "duck.parquet")}' (FORMAT parquet, {duckOptions})").Ms);
            }

            Report(name, sample.Rows, Median(ours), theirs.Count > 0 ? Median(theirs) : null);
        }

        Console.WriteLine();
    }

    private void Reading()
    {
        var sample = new Sample(devices: 1000, perDevice: 2880, seed: 3);
        Write(sample, micros: false, "scan.parquet", new ParquetWriterOptions { SortedBy = ["device", "time"] });
        var file = Path.Combine(folder, "scan.parquet");
        Console.WriteLine($"Reading our file, one thread ({sample.Rows:N0} rows, {new FileInfo(file).Length / 1e6:F1} MB)");
        var device = System.Text.Encoding.ASCII.GetString(sample.Devices[537]);
        var (from, to) = (sample.Times[0] + 36_000_000, sample.Times[0] + 36_600_000);

        Scan("all six columns, sums", sample.Rows, () => SumAll(file), $"SELECT count(*), sum(epoch_ms(time)), sum(bought), sum(\"left\"), sum(used), sum(status), sum(length(device)) FROM read_parquet('{file}')");
        Scan("one column, sum", sample.Rows, () => SumUsed(file), $"SELECT sum(used) FROM read_parquet('{file}')");
        Scan("one device's day", 2880, () => OneDevice(file, device), $"SELECT count(*), sum(used) FROM read_parquet('{file}') WHERE device = '{device}'");
        Scan("ten minutes of all devices", 20_000, () => Minutes(file, from, to), $"SELECT count(*), sum(used) FROM read_parquet('{file}') WHERE time BETWEEN to_timestamp({from / 1000.0}) AND to_timestamp({to / 1000.0})");
    }

    private void Scan(string name, int rows, Func<long> ours, string sql)
    {
        var mine = new List<double>();
        var theirs = new List<double>();
        for (var round = 0; round < rounds; round++)
        {
            var watch = Stopwatch.StartNew();
            ours();
            mine.Add(watch.Elapsed.TotalMilliseconds);
            if (duck is not null)
                theirs.Add(duck.Run(sql).Ms);
        }

        Report(name, rows, Median(mine), theirs.Count > 0 ? Median(theirs) : null);
    }

    private static void Report(string name, int rows, double ms, double? duckMs)
    {
        var line = $"  {name}: {ms:F1} ms, {rows / ms / 1000:F2} M rows/s";
        Console.WriteLine(duckMs is { } theirs
            ? $"{line}; DuckDB {theirs:F1} ms, {rows / theirs / 1000:F2} M rows/s; ours is {theirs / ms:F2} times as fast"
            : line);
    }

    private static double Median(List<double> values)
    {
        values.Sort();
        return values[values.Count / 2];
    }

    private long Write(Sample sample, bool micros, string name, ParquetWriterOptions options)
    {
        var path = Path.Combine(folder, name);
        using (var file = File.Create(path))
        {
            var writer = new ParquetWriter(
                file,
                [
                    ParquetColumn.String("device", nullable: false),
                    micros ? ParquetColumn.TimestampMicros("time", nullable: false) : ParquetColumn.TimestampMillis("time", nullable: false),
                    ParquetColumn.Decimal("bought", 12, 3), ParquetColumn.Decimal("left", 12, 3), ParquetColumn.Decimal("used", 12, 3),
                    ParquetColumn.Int32("status"),
                ],
                options);
            for (var device = 0; device < sample.Devices.Length; device++)
                AddDevice(writer, sample, device, micros);
            writer.Complete();
        }

        return new FileInfo(path).Length;
    }

    private static void AddDevice(ParquetWriter writer, Sample sample, int device, bool micros)
    {
        var (start, count) = (device * sample.PerDevice, sample.PerDevice);
        writer[0].AddRepeated(sample.Devices[device], count);
        if (micros)
        {
            for (var i = start; i < start + count; i++)
                writer[1].Add(sample.Times[i] * 1000);
        }
        else
        {
            writer[1].Add(sample.Times.AsSpan(start, count));
        }

        writer[2].Add(sample.Bought.AsSpan(start, count));
        writer[3].Add(sample.Left.AsSpan(start, count));
        writer[4].Add(sample.Used.AsSpan(start, count));
        writer[5].Add(sample.Status.AsSpan(start, count));
        writer.CommitRows();
    }

    private static long SumAll(string file)
    {
        using var reader = ParquetReader.Open(file);
        var scan = reader.Scan();
        long sum = 0;
        while (scan.Read())
        {
            for (var c = 1; c < 6; c++)
            {
                foreach (var value in scan[c].Int64s)
                    sum += value;
            }

            for (var row = 0; row < scan.RowCount; row++)
                sum += scan[0].Bytes(row).Length;
        }

        return sum;
    }

    private static long SumUsed(string file)
    {
        using var reader = ParquetReader.Open(file);
        var scan = reader.Scan(new ParquetScanOptions { Columns = ["used"] });
        long sum = 0;
        while (scan.Read())
        {
            foreach (var value in scan[0].Int64s)
                sum += value;
        }

        return sum;
    }

    private static long OneDevice(string file, string device)
    {
        var wanted = System.Text.Encoding.ASCII.GetBytes(device);
        using var reader = ParquetReader.Open(file);
        var scan = reader.Scan(new ParquetScanOptions { Columns = ["device", "used"], Filters = [ParquetFilter.Equal("device", device)] });
        long sum = 0;
        while (scan.Read())
        {
            var values = scan[1].Int64s;
            for (var row = 0; row < scan.RowCount; row++)
            {
                if (scan[0].Bytes(row).SequenceEqual(wanted))
                    sum += values[row];
            }
        }

        return sum;
    }

    private static long Minutes(string file, long from, long to)
    {
        using var reader = ParquetReader.Open(file);
        var scan = reader.Scan(new ParquetScanOptions { Columns = ["time", "used"], Filters = [ParquetFilter.Between("time", from, to)] });
        long sum = 0;
        while (scan.Read())
        {
            var (times, values) = (scan[0], scan[1]);
            for (var row = 0; row < scan.RowCount; row++)
            {
                if (times.Int64s[row] >= from && times.Int64s[row] <= to)
                    sum += values.Int64s[row];
            }
        }

        return sum;
    }
}
