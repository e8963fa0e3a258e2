using System.Text;

namespace Millrace.StreamSql.Tests;

/// <summary>What a dead letter tells of an event whose row has waited before it failed.</summary>
public sealed class DeadLetterTests
{
    private static readonly long Start = new DateTimeOffset(2026, 3, 2, 8, 0, 0, TimeSpan.Zero).ToUnixTimeMilliseconds() * 1000;

    private sealed class Letters : IQuerySink
    {
        public List<string> Told { get; } = [];

        public void OnRow(OutputRow row)
        {
        }

        public void OnDeadLetter(in DeadLetter letter)
            => Told.Add($"{(letter.ArrivalMicroseconds - Start) / 1_000_000} {letter.DeviceId} {Encoding.UTF8.GetString(letter.Payload.Span)}");
    }

    /// <summary>Feeds "input second json", with a stop and a start from a snapshot behind every event.</summary>
    private static List<string> Run(string query, bool restart, params string[] events)
    {
        var compiled = Sql.Compile(query).Query!;
        var letters = new Letters();
        var execution = compiled.Start(letters);
        foreach (var text in events)
        {
            var parts = text.Split(' ', 3);
            execution.Push(
                compiled.InputOrdinal(parts[0]),
                Start + (long.Parse(parts[1], System.Globalization.CultureInfo.InvariantCulture) * 1_000_000),
                Encoding.UTF8.GetBytes(parts[2]),
                new EventProperties("d" + parts[1]));
            if (!restart)
                continue;
            using var snapshot = new MemoryStream();
            execution.Save(snapshot);
            snapshot.Position = 0;
            execution = compiled.Start(letters);
            execution.Restore(snapshot);
        }

        execution.Complete();
        return letters.Told;
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void It_tells_arrival_device_and_payload_of_a_row_that_waited_for_the_other_input(bool restart)
    {
        const string query = "SELECT a.id, b.id FROM m a JOIN n b ON DATEDIFF(second, a, b) BETWEEN 0 AND 5 AND CAST(b.v AS bigint) = a.v";

        var told = Run(query, restart, """n 1 {"id":1,"v":"x"}""", """n 2 {"id":2,"v":"y"}""", """m 3 {"id":3,"v":4}""");

        Assert.Equal(["""1 d1 {"id":1,"v":"x"}""", """2 d2 {"id":2,"v":"y"}"""], told);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void It_tells_them_of_a_row_that_waited_in_a_union_and_failed_behind_it(bool restart)
    {
        const string query = "WITH u AS (SELECT id, v FROM m UNION SELECT id, v FROM n) SELECT id, 10 / v AS q FROM u";

        var told = Run(query, restart, """n 1 {"id":1,"v":0}""", """n 2 {"id":2,"v":2}""", """m 3 {"id":3,"v":0}""");

        Assert.Equal(["""1 d1 {"id":1,"v":0}""", """3 d3 {"id":3,"v":0}"""], told);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void It_tells_them_of_a_left_row_that_found_nothing_and_failed_afterwards(bool restart)
    {
        const string query = """
            WITH j AS (SELECT a.id, a.v, b.id AS other FROM m a LEFT JOIN n b ON DATEDIFF(second, a, b) BETWEEN 0 AND 5 AND a.id = b.id)
            SELECT id, 10 / v AS q FROM j WHERE other IS NULL
            """;

        var told = Run(query, restart, """m 1 {"id":1,"v":0}""", """m 2 {"id":2,"v":0}""", """n 3 {"id":2}""", """m 20 {"id":3,"v":1}""");

        Assert.Equal(["""1 d1 {"id":1,"v":0}"""], told);
    }

    [Fact]
    public void Payloads_beyond_sixteen_mebibytes_are_not_kept_but_arrival_and_device_are_and_all_is_forgotten_in_time()
    {
        var compiled = Sql.Compile("WITH u AS (SELECT id, v FROM m UNION SELECT id, v FROM n) SELECT id, 10 / v AS q FROM u").Query!;
        var letters = new Letters();
        var execution = compiled.Start(letters);
        var payload = Encoding.UTF8.GetBytes($$"""{"id":1,"v":0,"pad":"{{new string('x', 4 << 20)}}"}""");
        for (var second = 1; second <= 5; second++)
            execution.Push(compiled.InputOrdinal("n"), Start + (second * 1_000_000L), payload, new EventProperties("d" + second));
        execution.Push(compiled.InputOrdinal("n"), Start + 6_000_000, "{\"id\":2,\"v\":1}"u8);
        Assert.InRange(execution.EstimateMemory(), 12 << 20, 17 << 20);

        execution.AdvanceArrival(Start + 10_000_000);

        Assert.Equal(5, letters.Told.Count);
        Assert.All(letters.Told.Take(3), t => Assert.True(t.Length > 4 << 20));
        Assert.Equal(["4 d4 ", "5 d5 "], letters.Told.Skip(3));
        Assert.InRange(execution.EstimateMemory(), 0, 1000);
    }
}
