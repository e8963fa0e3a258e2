using Millrace.StreamSql.Cases;

namespace Millrace.StreamSql.Tests;

/// <summary>Every case in every way in which it must give the same rows.</summary>
public sealed class ConformanceTests
{
    public static TheoryData<string> CaseNames()
    {
        var data = new TheoryData<string>();
        foreach (var file in Directory.EnumerateFiles(Path.Combine(AppContext.BaseDirectory, "cases"), "*.json").Order(StringComparer.Ordinal))
            data.Add(Path.GetFileNameWithoutExtension(file));
        return data;
    }

    private static QueryCase Load(string name)
        => QueryCase.Parse(File.ReadAllText(Path.Combine(AppContext.BaseDirectory, "cases", name + ".json")));

    [Theory]
    [MemberData(nameof(CaseNames))]
    public void Gives_the_expected_rows_at_once(string name) => Assert.Null(CaseRun.Check(Load(name)));

    [Theory]
    [MemberData(nameof(CaseNames))]
    public void Gives_the_same_rows_one_by_one_with_the_watermark_advanced(string name)
    {
        var test = Load(name);
        if (test.Expected is null)
            return;
        Assert.Null(RunOneByOne(test, StreamQuery.Compile(test.Query, test.Options).Query!));
    }

    private static string? RunOneByOne(QueryCase test, CompiledQuery query)
    {
        var run = new CaseRun();
        var execution = run.Start(test, query);
        foreach (var next in test.Events)
        {
            CaseRun.Push(execution, next);
            for (var input = 0; input < query.Inputs.Count; input++)
                execution.AdvanceArrivalAt(input, next.ArrivalTicks);
        }

        execution.Complete();
        return run.Compare(test, execution.Counters);
    }

    [Theory]
    [MemberData(nameof(CaseNames))]
    public void Gives_the_same_rows_when_stopped_and_restored_after_any_event(string name)
    {
        var test = Load(name);
        if (test.Expected is null)
            return;
        for (var stop = 0; stop <= test.Events.Count; stop++)
        {
            var run = new CaseRun();
            var first = run.Start(test, StreamQuery.Compile(test.Query, test.Options).Query!);
            for (var index = 0; index < stop; index++)
                CaseRun.Push(first, test.Events[index]);
            using var snapshot = new MemoryStream();
            first.Save(snapshot);
            snapshot.Position = 0;
            var second = run.Start(test, StreamQuery.Compile(test.Query, test.Options with { Partitions = 1 + (stop % 4) }).Query!);
            second.Restore(snapshot);
            for (var index = stop; index < test.Events.Count; index++)
                CaseRun.Push(second, test.Events[index]);
            second.Complete();
            Assert.True(run.Compare(test, second.Counters) is not { } difference, $"stopped after {stop}: {run.Compare(test, second.Counters)}");
        }
    }

    [Theory]
    [MemberData(nameof(CaseNames))]
    public void Gives_the_same_rows_in_the_same_order_with_any_number_of_partitions(string name)
    {
        var test = Load(name);
        if (test.Expected is null)
            return;
        List<string>? reference = null;
        foreach (var partitions in new[] { 1, 2, 7, 32 })
        {
            var run = new CaseRun();
            var execution = run.Start(test, StreamQuery.Compile(test.Query, test.Options with { Partitions = partitions }).Query!);
            foreach (var next in test.Events)
                CaseRun.Push(execution, next);
            execution.Complete();
            Assert.Null(run.Compare(test, execution.Counters));
            var all = run.Rows.OrderBy(r => r.Key, StringComparer.Ordinal).SelectMany(r => r.Value.Select(v => r.Key + v))
                .Append(execution.Counters.ToString()).ToList();
            Assert.Equal(reference ??= all, all);
        }
    }
}
