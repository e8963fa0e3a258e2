using FsCheck;
using FsCheck.Fluent;
using Millrace.History.Archive;

namespace Millrace.History.Tests.Archive;

public sealed class ArchiveMergeTests
{
    [Fact]
    public void Ranges_of_one_hour_never_overlap_whatever_is_merged() =>
        Prop.ForAll(Gen.Choose(0, int.MaxValue - 1).ToArbitrary(), Run).Check(Config.QuickThrowOnFailure.WithMaxTest(200));

    private static void Run(int seed)
    {
        var random = new Random(seed);
        var options = new ArchiveOptions { MergeFiles = 3, MergeRowsMax = 60 };
        var (files, position) = (new List<ArchivedFile>(), 0L);
        for (var step = 0; step < 60; step++)
        {
            var to = position + random.Next(1, 30);
            files.Add(File(0, position, to, to - position));
            position = to;
            var bad = random.Next(6);
            var now = random.Next(5) == 0 ? long.MaxValue : 0;
            while (ArchiveMerge.Choose(files, options, now, file => file.From % 7 != bad) is { Count: > 0 } chosen)
            {
                Assert.True(chosen.Count > 1);
                files.RemoveAll(chosen.Contains);
                files.Add(File(chosen.Max(file => file.Generation) + 1, chosen.Min(file => file.From), chosen.Max(file => file.To), chosen.Sum(file => file.Rows)));
            }

            var inOrder = files.OrderBy(file => file.From).ToList();
            Assert.All(inOrder.Zip(inOrder.Skip(1)), pair => Assert.True(pair.First.To <= pair.Second.From));
        }
    }

    private static ArchivedFile File(int generation, long from, long to, long rows) =>
        new(ArchivedFile.NameOf("hour=00", generation, from, to), rows, rows, from, to, generation, 0, 0, 0, 0);
}
