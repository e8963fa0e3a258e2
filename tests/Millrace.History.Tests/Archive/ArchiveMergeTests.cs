using FsCheck;
using FsCheck.Fluent;
using Millrace.History.Archive;

namespace Millrace.History.Tests.Archive;

public sealed class ArchiveMergeTests
{
    [Fact]
    public void Ranges_of_one_hour_never_overlap_whatever_is_merged() =>
        Prop.ForAll(Gen.Choose(0, int.MaxValue - 1).ToArbitrary(), Run).Check(Config.QuickThrowOnFailure.WithMaxTest(200));

    [Fact]
    public void Once_an_hour_is_quiet_no_file_of_it_stays_as_it_was_written_in_haste()
    {
        var options = new ArchiveOptions { MergeRowsMax = 60 };
        ArchivedFile[] files = [File(2, 0, 50, 50), File(0, 50, 90, 40), File(1, 90, 100, 10)];

        Assert.Empty(ArchiveMerge.Choose([files[1]], options, now: 0, _ => true));
        Assert.Equal([files[1]], ArchiveMerge.Choose([files[1]], options, long.MaxValue, _ => true));
        Assert.Equal(files[1..], ArchiveMerge.Choose(files, options, long.MaxValue, _ => true));
        Assert.Empty(ArchiveMerge.Choose([files[0], File(1, 50, 100, 50)], options, long.MaxValue, _ => true));
    }

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
                Assert.True(chosen.Count > 1 || (now > 0 && chosen[0].Generation == 0));
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
