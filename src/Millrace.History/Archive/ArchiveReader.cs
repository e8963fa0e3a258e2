using System.Buffers;
using System.Globalization;
using Millrace.Core;
using Millrace.Parquet;

namespace Millrace.History.Archive;

/// <summary>
/// Reads the history by its manifests, also while a server writes and merges it. A file that is missing or damaged is told to
/// <paramref name="report"/>, and the others are served.
/// </summary>
public sealed class ArchiveReader(string root, Action<string>? report = null)
{
    /// <summary>A file may be merged away between reading the manifest and opening it; then the manifest is read again.</summary>
    private const int Attempts = 5;

    /// <summary>Parts that arrivals are counted in before they are sorted slice by slice.</summary>
    private const int Bins = 1024;

    /// <summary>One device's readings with from ≤ time &lt; to, in order of time.</summary>
    public IEnumerable<ArchivedReading> Read(ushort tenant, string device, long from, long to)
    {
        foreach (var day in Days(tenant))
        {
            using var files = OpenDay(day, file => file.TimeMax >= from && file.TimeMin < to);
            var readings = new List<ArchivedReading>();
            foreach (var file in files.Readers)
            {
                Collect(file, readings, [ParquetFilter.Equal("device", device), ParquetFilter.Between("time", from, to - 1)],
                    reading => reading.Time >= from && reading.Time < to && reading.Device == device);
            }

            foreach (var reading in readings.OrderBy(r => r.Time).ThenBy(r => r.Partition).ThenBy(r => r.Sequence))
                yield return reading;
        }
    }

    /// <summary>
    /// All readings of a tenant with from ≤ received at &lt; to, in order of arrival: what a query over the past is fed with. About
    /// <paramref name="rowsMax"/> readings are held at once; files are read again for each slice of that size.
    /// </summary>
    public IEnumerable<ArchivedReading> Replay(ushort tenant, long from, long to, int rowsMax = 200_000)
    {
        foreach (var (start, end) in Slices(tenant, from, to, rowsMax))
        {
            var readings = new List<ArchivedReading>();
            foreach (var day in Days(tenant))
            {
                using var files = OpenDay(day, file => file.ReceivedMax >= start && file.ReceivedMin < end);
                foreach (var file in files.Readers)
                {
                    Collect(file, readings, [ParquetFilter.Between("received_at", start, end - 1)],
                        reading => reading.ReceivedAt >= start && reading.ReceivedAt < end);
                }
            }

            foreach (var reading in readings.OrderBy(r => r.ReceivedAt))
                yield return reading;
        }
    }

    /// <summary>Ranges of arrival that hold about so many readings each.</summary>
    private List<(long Start, long End)> Slices(ushort tenant, long from, long to, int rowsMax)
    {
        // Only where there is something: an open end must not make the bins years wide.
        var (least, greatest) = Arrivals(tenant);
        (from, to) = (Math.Max(from, least), Math.Min(to, greatest + 1));
        var slices = new List<(long, long)>();
        if (from < to)
            Slice(tenant, from, to, rowsMax, slices);
        return slices;
    }

    private void Slice(ushort tenant, long from, long to, int rowsMax, List<(long Start, long End)> slices)
    {
        var width = Math.Max(1, (to - from + Bins - 1) / Bins);
        var counts = new long[(to - from + width - 1) / width];
        foreach (var day in Days(tenant))
        {
            using var files = OpenDay(day, file => file.ReceivedMax >= from && file.ReceivedMin < to);
            foreach (var file in files.Readers)
                Count(file, from, to, width, counts);
        }

        var (start, rows) = (0, 0L);
        for (var bin = 0; bin < counts.Length; bin++)
        {
            if (rows > 0 && rows + counts[bin] > rowsMax)
            {
                slices.Add((from + start * width, from + bin * width));
                (start, rows) = (bin, 0);
            }

            if (counts[bin] > rowsMax && width > 1)
            {
                // A burst in one bin is cut finer.
                Slice(tenant, from + bin * width, Math.Min(to, from + (bin + 1) * width), rowsMax, slices);
                (start, rows) = (bin + 1, 0);
                continue;
            }

            rows += counts[bin];
        }

        if (rows > 0)
            slices.Add((from + start * width, to));
    }

    private void Count(ParquetReader file, long from, long to, long width, long[] counts)
    {
        var scan = file.Scan(new ParquetScanOptions
        {
            Columns = ["received_at"],
            Filters = [ParquetFilter.Between("received_at", from, to - 1)],
        });
        Guarded(() =>
        {
            while (scan.Read())
            {
                foreach (var received in scan[0].Int64s)
                {
                    if (received >= from && received < to)
                        counts[(received - from) / width]++;
                }
            }
        });
    }

    private (long Least, long Greatest) Arrivals(ushort tenant)
    {
        var files = Days(tenant).SelectMany(day => ArchiveFolder.ReadManifest(root, day).Files).ToList();
        return files.Count == 0 ? (0, -1) : (files.Min(file => file.ReceivedMin), files.Max(file => file.ReceivedMax));
    }

    private void Collect(
        ParquetReader file, List<ArchivedReading> readings, ParquetFilter[] filters, Func<ArchivedReading, bool> isWanted)
    {
        var scan = file.Scan(new ParquetScanOptions { Filters = filters });
        var values = new List<FieldValue>();
        Guarded(() =>
        {
            while (scan.Read())
            {
                for (var row = 0; row < scan.RowCount; row++)
                {
                    var reading = new ArchivedReading(
                        scan["device"].Text(row)!, scan["time"].Int64s[row], scan["received_at"].Int64s[row],
                        (int)scan["partition"].Int64s[row], scan["sequence"].Int64s[row], default);
                    if (isWanted(reading))
                        readings.Add(reading with { Json = JsonOf(file, scan, row, values) });
                }
            }
        });
    }

    private static ReadOnlyMemory<byte> JsonOf(ParquetReader file, ParquetScan scan, int row, List<FieldValue> values)
    {
        values.Clear();
        ReadOnlySpan<byte> rest = default;
        for (var c = HistoryFileWriter.FixedColumns; c < file.Columns.Count; c++)
        {
            var vector = scan[c];
            if (vector.IsNull(row))
                continue;

            var name = vector.Column.Name;
            if (name == HistoryFileWriter.RestColumn)
                rest = vector.Bytes(row);
            else if (vector.Column.Kind == ParquetKind.Double)
                values.Add(new FieldValue(name, ParquetKind.Double, vector.Doubles[row], false, null));
            else if (vector.Column.Kind == ParquetKind.Boolean)
                values.Add(new FieldValue(name, ParquetKind.Boolean, 0, vector.Booleans[row], null));
            else
                values.Add(new FieldValue(name, ParquetKind.String, 0, false, vector.Text(row)));
        }

        var json = new ArrayBufferWriter<byte>(256);
        PayloadJoiner.Write(values, rest, json);
        return json.WrittenMemory;
    }

    private IEnumerable<string> Days(ushort tenant)
    {
        var folder = Path.Combine(root, $"tenant={tenant}");
        if (!Directory.Exists(folder))
            return [];

        return Directory.EnumerateDirectories(folder, "date=*")
            .Where(day => DateOnly.TryParseExact(Path.GetFileName(day)[5..], "yyyy-MM-dd", CultureInfo.InvariantCulture, DateTimeStyles.None, out _))
            .Select(day => $"tenant={tenant}/{Path.GetFileName(day)}").Order(StringComparer.Ordinal);
    }

    /// <summary>Opens a day's files at once: opened they stay readable, also when a merge takes them away.</summary>
    private OpenFiles OpenDay(string day, Func<ArchivedFile, bool> isWanted)
    {
        for (var attempt = 1; ; attempt++)
        {
            var open = new OpenFiles();
            var gone = false;
            foreach (var file in ArchiveFolder.ReadManifest(root, day).Files.Where(isWanted))
            {
                try
                {
                    open.Readers.Add(ParquetReader.Open(Path.Combine(root, day, file.Name)));
                }
                catch (ParquetFormatException fault)
                {
                    report?.Invoke(fault.Message);
                }
                catch (FileNotFoundException) when (attempt < Attempts)
                {
                    gone = true;
                    break;
                }
                catch (FileNotFoundException fault)
                {
                    report?.Invoke(fault.Message);
                }
            }

            if (!gone)
                return open;
            open.Dispose();
        }
    }

    private void Guarded(Action read)
    {
        try
        {
            read();
        }
        catch (ParquetFormatException fault)
        {
            report?.Invoke(fault.Message);
        }
    }

    private sealed class OpenFiles : IDisposable
    {
        public List<ParquetReader> Readers { get; } = [];

        public void Dispose() => Readers.ForEach(reader => reader.Dispose());
    }
}
