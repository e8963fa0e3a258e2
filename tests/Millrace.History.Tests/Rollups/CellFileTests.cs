using System.Text;
using Millrace.Core;
using Millrace.History.Rollups;
using Millrace.History.Rollups.Stored;
using Millrace.Testing;

namespace Millrace.History.Tests.Rollups;

public sealed class CellFileTests
{
    private const long Quarter = 15 * 60_000_000L;
    private const long Base = 20_454 * 86_400_000_000;

    [Theory]
    [InlineData("devices-1.cells", false)]
    [InlineData("groups-1.cells", true)]
    public void Files_of_every_released_version_open(string name, bool withPlaces)
    {
        var path = Path.Combine(AppContext.BaseDirectory, "Golden", name);
        Assert.Equal(Describe(Sample(withPlaces), withPlaces), Describe(Read(path), withPlaces));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void What_is_written_is_read_to_the_last_bit(bool withPlaces)
    {
        using var folder = new TempFolder();
        Write(folder["x.cells"], Sample(withPlaces), withPlaces);
        Assert.Equal(Describe(Sample(withPlaces), withPlaces), Describe(Read(folder["x.cells"]), withPlaces));
    }

    /// <summary>Three devices with registers, gauges, late samples and numbers of every size.</summary>
    private static List<(byte[] Key, List<FieldCells> Fields)> Sample(bool withPlaces)
    {
        var random = new Random(5);
        var series = new List<(byte[], List<FieldCells>)>();
        foreach (var device in new[] { "a-1", "a-2", "b" })
        {
            var fields = new List<FieldCells>();
            foreach (var field in new[] { "flow", "left", "odd", "status", "used" })
                fields.Add(new FieldCells(field, [.. Enumerable.Range(0, 12).Where(_ => random.Next(5) > 0).Select(i => CellOf(random, field, Base + i * Quarter, withPlaces))]));
            series.Add((Encoding.UTF8.GetBytes(device), fields));
        }

        return series;
    }

    private static Cell CellOf(Random random, string field, long start, bool withPlaces)
    {
        var cell = new Cell(start);
        var count = random.Next(1, 20);
        for (var i = 0; i < count; i++)
        {
            var time = start + random.Next(3) * 400_000_000L + i * 1_000_000 + (random.Next(2) == 0 ? 0 : random.Next(1_000_000));
            var value = field switch
            {
                "flow" => random.Next(100) / 100.0,
                "left" => 1000 - i * 0.004,
                "odd" => random.Next(4) switch { 0 => random.NextDouble() * 1e17, 1 => -0.0, 2 => double.Epsilon, _ => -random.Next(9) / 3.0 },
                "status" => 4,
                _ => 20.829 + i,
            };
            var sample = new Sample(time, withPlaces ? random.Next(8) : 0, withPlaces ? 1000 + i : 0, value);
            if (withPlaces)
                cell.AddUnordered(sample);
            else
                cell.Add(sample);
        }

        return cell;
    }

    private static void Write(string path, List<(byte[] Key, List<FieldCells> Fields)> series, bool withPlaces)
    {
        using var writer = new CellFileWriter(path, Quarter, Base, withPlaces);
        foreach (var (key, fields) in series)
            writer.Add(DeviceIds.Hash(0, key), key, fields);
        writer.Complete("{}"u8);
    }

    private static List<(byte[] Key, List<FieldCells> Fields)> Read(string path)
    {
        using var reader = new CellFileReader(path);
        return [.. reader.All()];
    }

    /// <summary>Everything that a cell says, to the last bit.</summary>
    private static List<string> Describe(List<(byte[] Key, List<FieldCells> Fields)> series, bool withPlaces) =>
        [.. series.SelectMany(one => one.Fields.SelectMany(field => field.Cells.Select(cell => $"{Encoding.UTF8.GetString(one.Key)} {field.Field} {Describe(cell, withPlaces)}")))];

    private static string Describe(Cell cell, bool withPlaces) =>
        $"{cell.Start} {cell.Count} {cell.Min:R} {cell.Max:R} {Describe(cell.First)} {Describe(cell.Last)} [{Parts(cell.ExactSum)}] {(withPlaces ? "" : $"[{Parts(cell.ExactRise)}] {cell.NeedsRecount}")}";

    private static string Describe(Sample sample) => $"{sample.Time}/{sample.Partition}/{sample.Sequence}/{sample.Value:R}";

    private static string Parts(ExactSum sum) => string.Join(' ', sum.Parts.ToArray().Select(part => part.ToString("R", null)));
}
