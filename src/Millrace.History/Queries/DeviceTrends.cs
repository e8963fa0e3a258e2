using System.Text;
using Millrace.Core;
using Millrace.History.Archive;
using Millrace.History.Rollups;
using Millrace.History.Rollups.Devices;
using Millrace.Parquet;

namespace Millrace.History.Queries;

/// <summary>Points of one device's fields; as many a field as there were buckets.</summary>
/// <param name="StoppedBefore">Not everything could be read: buckets that end after this are not whole.</param>
public sealed record DeviceTrend(
    IReadOnlyList<LocalBucket> Buckets, SortedDictionary<string, List<TrendPoint>> Fields, long? StoppedBefore, bool IsBehind);

/// <summary>
/// The trends of single devices: stored quarter-hours, and the readings that came after they were made. Minutes are always made from the
/// readings. Thread-safe.
/// </summary>
/// <param name="rollups">Null: none are stored.</param>
public sealed class DeviceTrends(DeviceReadings readings, DeviceRollups? rollups = null)
{
    /// <summary>
    /// The rise of the first bucket begins at the reading before it, which is looked for so far back.
    /// </summary>
    public const long LookBack = 2 * Day;

    private const long Day = 86_400 * Micros.PerSecond;

    /// <param name="fields">Null: every field with numbers.</param>
    /// <param name="buckets">Of <see cref="LocalBuckets"/>, in order, at least one.</param>
    /// <param name="withRise">Whether the rise is shown: late readings make it cost more.</param>
    public DeviceTrend Read(
        ushort tenant, string device, IReadOnlyCollection<string>? fields, IReadOnlyList<LocalBucket> buckets, TrendInterval interval, bool withRise,
        ReadBudget budget)
    {
        ArgumentNullException.ThrowIfNull(buckets);
        ArgumentNullException.ThrowIfNull(budget);
        var question = new Question(tenant, device, Encoding.UTF8.GetBytes(device), fields, interval == TrendInterval.Minute ? LocalBuckets.Minute : LocalBuckets.QuarterHour);
        var (from, to) = (buckets[0].Start - (withRise ? LookBack : 0), buckets[^1].End);
        // The cut comes first: what is archived meanwhile is then in the tail.
        var cut = readings.Cut;
        var tail = readings.Tail(tenant, device, cut, from, to, budget);
        if (cut is not null)
            ReadDays(question, cut, from, to, budget);
        foreach (var reading in tail)
            Add(question, reading);
        if (withRise)
            Recount(question, cut, tail, budget);

        var points = new SortedDictionary<string, List<TrendPoint>>(StringComparer.Ordinal);
        foreach (var (field, cells) in question.Cells.Fields)
        {
            if (fields is null || fields.Contains(question.Names.Names[field]))
                points.Add(question.Names.Names[field], TrendPoints.Of(cells, question.CellLength, buckets));
        }

        return new DeviceTrend(buckets, points, budget.StoppedBefore, budget.IsBehind);
    }

    private void ReadDays(Question question, PositionVector cut, long from, long to, ReadBudget budget)
    {
        for (var day = LocalBuckets.Floor(from, Day) / Day; day * Day < to; day++)
        {
            if (budget.IsSpent && day * Day >= budget.AtLeastUntil)
            {
                budget.Stop(day * Day);
                return;
            }

            var stored = question.CellLength == LocalBuckets.QuarterHour ? rollups?.Find(question.Tenant, day, question.Id, question.Wanted) : null;
            // Made anew since the cut was looked at: it holds readings of the tail.
            if (stored is { } made && made.Position.LagBehind(cut) == 0 && !made.Position.Equals(cut))
                stored = null;
            foreach (var field in stored?.Fields ?? [])
            {
                if (question.Names.NumberOf(field.Field) is var number and >= 0)
                    question.Cells.Add(number, field.Cells.Where(cell => cell.Start >= from && cell.Start < to));
            }

            ReadFiles(question, day, stored?.Position, cut, from, to, (field, sample) => question.Cells.Add(field, sample));
        }
    }

    /// <summary>The numbers of the device's readings of one day that are archived between two positions of the log.</summary>
    private void ReadFiles(Question question, long day, PositionVector? since, PositionVector until, long from, long to, Action<int, Sample> take)
    {
        var least = since?.Total ?? 0;
        var (start, end) = (Math.Max(from, day * Day), Math.Min(to, (day + 1) * Day));
        using var files = readings.Archive!.OpenDayFiles(question.Tenant, day, file => file.To > least && file.TimeMax >= start && file.TimeMin < end);
        var numbers = new List<(int Field, double Value)>();
        foreach (var file in files.Readers)
        {
            readings.Archive.Guard(() =>
            {
                var scan = new NumberScan(
                    file, question.Names, question.Wanted, [ParquetFilter.Equal("device", question.Device), HistoryFileWriter.TimeFilter(file, start, end)]);
                while (scan.Read())
                {
                    for (var row = 0; row < scan.RowCount; row++)
                    {
                        var (time, partition, sequence) = (scan.Time(row), scan.Partition(row), scan.Sequence(row));
                        if (time < start || time >= end || sequence < since?[partition] || sequence >= until[partition] || !scan.Device(row).SequenceEqual(question.Id))
                            continue;
                        numbers.Clear();
                        scan.Numbers(row, numbers);
                        foreach (var (field, value) in numbers)
                            take(field, new Sample(time, partition, sequence, value));
                    }
                }
            });
        }
    }

    private static void Add(Question question, ArchivedReading reading)
    {
        foreach (var (field, sample) in SamplesOf(question, reading))
            question.Cells.Add(field, sample);
    }

    private static List<(int Field, Sample Sample)> SamplesOf(Question question, ArchivedReading reading)
    {
        if (ArchiveOptions.IsSkewed(reading.Time, reading.ReceivedAt, ArchiveOptions.SkewDaysDefault))
            return [];
        question.Names.Read(reading.Json.Span);
        return question.Names.Values.ConvertAll(value => (value.Field, new Sample(reading.Time, reading.Partition, reading.Sequence, value.Value)));
    }

    /// <summary>Cells whose samples came out of order are counted anew from the readings, day by day.</summary>
    private void Recount(Question question, PositionVector? cut, List<ArchivedReading> tail, ReadBudget budget)
    {
        var stale = question.Cells.Fields.SelectMany(field => field.Value.Values.Where(cell => cell.NeedsRecount).Select(cell => (Field: field.Key, cell.Start)))
            .GroupBy(cell => LocalBuckets.Floor(cell.Start, Day) / Day).OrderBy(day => day.Key).ToList();
        foreach (var day in stale)
        {
            if (budget.IsSpent && day.Key * Day >= budget.AtLeastUntil)
            {
                budget.Stop(day.Key * Day);
                return;
            }

            var samples = day.ToDictionary(cell => cell, _ => new List<Sample>());
            void Take(int field, Sample sample)
            {
                if (samples.TryGetValue((field, LocalBuckets.Floor(sample.Time, question.CellLength)), out var held))
                    held.Add(sample);
            }

            if (cut is not null)
                ReadFiles(question, day.Key, null, cut, day.Min(cell => cell.Start), day.Max(cell => cell.Start) + question.CellLength, Take);
            foreach (var (field, sample) in tail.SelectMany(reading => SamplesOf(question, reading)))
                Take(field, sample);
            foreach (var ((field, start), held) in samples)
            {
                // A cell outlives readings that retention took: what is left of them says less than it does.
                if (Cell.Recount(start, held) is { } counted && counted.Count >= question.Cells.Fields[field][start].Count)
                    question.Cells.Fields[field][start] = counted;
            }
        }
    }

    private sealed record Question(ushort Tenant, string Device, byte[] Id, IReadOnlyCollection<string>? Wanted, long CellLength)
    {
        public NumericFields Names { get; } = new();

        public DeviceCells Cells { get; } = new(CellLength);
    }
}
