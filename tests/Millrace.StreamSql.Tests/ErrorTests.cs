namespace Millrace.StreamSql.Tests;

/// <summary>Mistakes in scripts: the first in text order, where it is, and the word it names.</summary>
public sealed class ErrorTests
{
    [Theory]
    [InlineData("", 1, 1, "SELECT")]
    [InlineData("-- nothing", 1, 11, "SELECT")]
    [InlineData("SELEC id FROM m", 1, 1, "SELEC")]
    [InlineData("SELECT FROM m", 1, 8, "FROM")]
    [InlineData("SELECT id, FROM m", 1, 12, "FROM")]
    [InlineData("SELECT id FROM", 1, 15, "end")]
    [InlineData("SELECT id FROM m WHERE", 1, 23, "end")]
    [InlineData("SELECT id FROM m WHERE v >", 1, 27, "end")]
    [InlineData("SELECT id FROM m WHERE v > > 3", 1, 28, ">")]
    [InlineData("SELECT id FROM m GROUP id", 1, 24, "id")]
    [InlineData("SELECT id FROM m ORDER BY id", 1, 18, "ORDER")]
    [InlineData("SELECT TOP 5 id FROM m", 1, 8, "TOP")]
    [InlineData("SELECT select FROM m", 1, 8, "select")]
    [InlineData("SELECT r.left FROM m", 1, 10, "left")]
    [InlineData("SELECT id AS from FROM m", 1, 14, "from")]
    [InlineData("SELECT id\nFROM m /* open", 2, 8, "comment")]
    [InlineData("SELECT [id\nFROM m", 1, 8, "bracket")]
    [InlineData("SELECT 'it''s FROM m", 1, 8, "string")]
    [InlineData("SELECT \"id FROM m", 1, 8, "string")]
    [InlineData("SELECT id ~ 2 FROM m", 1, 11, "~")]
    [InlineData("SELECT é, 'ü😀', ~ FROM m", 1, 17, "~")]
    [InlineData("SELECT id FROM m; FROM m", 1, 19, "FROM")]
    [InlineData("SELECT id FROM m, n", 1, 17, ",")]
    [InlineData("SELECT (SELECT 1 FROM m) AS x FROM m", 1, 9, "SELECT")]
    [InlineData("SELECT id FROM (SELECT id FROM m) x", 1, 16, "(")]
    [InlineData("SELECT CASE id END FROM m", 1, 16, "END")]
    [InlineData("SELECT CASE WHEN 1 THEN 2 FROM m", 1, 27, "FROM")]
    [InlineData("SELECT CAST(id bigint) FROM m", 1, 16, "bigint")]
    [InlineData("SELECT CAST(id AS int) FROM m", 1, 19, "int")]
    [InlineData("SELECT id FROM m WHERE id IN ()", 1, 31, ")")]
    [InlineData("SELECT 12abc FROM m", 1, 8, "number")]
    [InlineData("SELECT id FROM m a FULL JOIN n b ON a.id = b.id", 1, 20, "FULL")]
    [InlineData("SELECT id FROM m a CROSS JOIN n b", 1, 20, "CROSS")]
    [InlineData("SELECT id FROM m a LEFT n b ON 1 = 1", 1, 25, "n")]
    [InlineData("SELECT id INTO a FROM m UNION SELECT id INTO b FROM m", 1, 41, "INTO")]
    public void Syntax(string query, int line, int column, string contains) => Check(query, line, column, contains);

    [Theory]
    [InlineData("SELECT id FROM nowhere", 1, 16, "nowhere")]
    [InlineData("SELECT id FROM m a JOIN nowhere b ON DATEDIFF(s, a, b) = 0", 1, 25, "nowhere")]
    [InlineData("WITH a AS (SELECT id FROM b), b AS (SELECT id FROM m) SELECT * FROM a", 1, 27, "b")]
    [InlineData("WITH a AS (SELECT id FROM m), A AS (SELECT id FROM m) SELECT * FROM a", 1, 31, "A")]
    [InlineData("WITH a AS (SELECT id INTO x FROM m) SELECT * FROM a", 1, 22, "INTO")]
    [InlineData("WITH a AS (SELECT id FROM m) SELECT * FROM a TIMESTAMP BY id", 1, 46, "TIMESTAMP")]
    [InlineData("SELECT id FROM r", 1, 16, "r")]
    [InlineData("SELECT nope(id) FROM m", 1, 8, "nope")]
    [InlineData("SELECT GetMetadataPropertyValue(x, 'y') FROM m", 1, 8, "GetMetadataPropertyValue")]
    [InlineData("SELECT udf.nope(id) FROM m", 1, 8, "udf.nope")]
    [InlineData("SELECT other.nope(id) FROM m", 1, 8, "other.nope")]
    [InlineData("SELECT LEN() FROM m", 1, 8, "LEN")]
    [InlineData("SELECT LEN(a, b) FROM m", 1, 8, "LEN")]
    [InlineData("SELECT ROUND(a, 1, 2) FROM m", 1, 8, "ROUND")]
    [InlineData("SELECT DATEPART(eon, t) FROM m", 1, 17, "eon")]
    [InlineData("SELECT id FROM m TIMESTAMP BY System.Timestamp()", 1, 31, "Timestamp")]
    [InlineData("SELECT id FROM m TIMESTAMP BY MAX(t)", 1, 31, "MAX")]
    [InlineData("SELECT COUNT(*) FROM m", 1, 8, "window")]
    [InlineData("SELECT id, SUM(v) + 1 AS s FROM m", 1, 12, "window")]
    [InlineData("SELECT COUNT(*) FROM m GROUP BY a, b", 1, 33, "window")]
    [InlineData("SELECT COUNT(*) FROM m WHERE COUNT(*) > 1 GROUP BY TumblingWindow(s, 1)", 1, 30, "COUNT")]
    [InlineData("SELECT SUM(COUNT(*)) FROM m GROUP BY TumblingWindow(s, 1)", 1, 12, "COUNT")]
    [InlineData("SELECT id FROM m GROUP BY TumblingWindow(s, 1)", 1, 8, "id")]
    [InlineData("SELECT UPPER(z) AS z, v FROM m GROUP BY UPPER(z), TumblingWindow(s, 1)", 1, 23, "v")]
    [InlineData("SELECT COUNT(*) AS n FROM m GROUP BY TumblingWindow(s, 1) HAVING v > 1", 1, 66, "v")]
    [InlineData("SELECT id FROM m HAVING id > 1", 1, 18, "HAVING")]
    [InlineData("SELECT id FROM m HAVING COUNT(*) > 1", 1, 25, "COUNT")]
    [InlineData("SELECT m.* FROM m GROUP BY TumblingWindow(s, 1)", 1, 10, "*")]
    [InlineData("SELECT nope(id) FROM nowhere", 1, 8, "nope")]
    [InlineData("SELECT a.id FROM m a JOIN nowhere b ON a.id = nope(b.id)", 1, 27, "nowhere")]
    [InlineData("SELECT * FROM m GROUP BY TumblingWindow(s, 1)", 1, 8, "*")]
    [InlineData("SELECT COUNT(*) FROM m GROUP BY TumblingWindow(s, 0)", 1, 51, "0")]
    [InlineData("SELECT COUNT(*) FROM m GROUP BY TumblingWindow(s, -1)", 1, 51, "-1")]
    [InlineData("SELECT COUNT(*) FROM m GROUP BY TumblingWindow(s, x)", 1, 51, "number")]
    [InlineData("SELECT COUNT(*) FROM m GROUP BY TumblingWindow(month, 1)", 1, 48, "month")]
    [InlineData("SELECT COUNT(*) FROM m GROUP BY TumblingWindow(s)", 1, 33, "TumblingWindow")]
    [InlineData("SELECT COUNT(*) FROM m GROUP BY HoppingWindow(day, 8, 1)", 1, 33, "7")]
    [InlineData("SELECT COUNT(*) FROM m GROUP BY HoppingWindow(s, 10, 0)", 1, 54, "0")]
    [InlineData("SELECT COUNT(*) FROM m GROUP BY SlidingWindow(hour, 169)", 1, 33, "7")]
    [InlineData("SELECT COUNT(*) FROM m GROUP BY SessionWindow(day, 1, 8)", 1, 33, "7")]
    [InlineData("SELECT COUNT(*) FROM m GROUP BY id,\n TumblingWindow(s, 1),\n SlidingWindow(s, 2)", 3, 2, "window")]
    [InlineData("SELECT COUNT(*) FROM m GROUP BY Windows(Window('a', Tumbling(s, 1)), Window('A', Tumbling(s, 2)))", 1, 77, "A")]
    [InlineData("SELECT id FROM m WHERE TumblingWindow(s, 1)", 1, 24, "TumblingWindow")]
    [InlineData("SELECT System.Window().Id FROM m", 1, 8, "window")]
    [InlineData("SELECT LAG(v) FROM m", 1, 8, "LIMIT DURATION")]
    [InlineData("SELECT LAST(v) OVER (PARTITION BY id) FROM m", 1, 8, "LIMIT DURATION")]
    [InlineData("SELECT LAG(v, 0) OVER (LIMIT DURATION(s, 1)) FROM m", 1, 15, "offset")]
    [InlineData("SELECT LAG(v, x) OVER (LIMIT DURATION(s, 1)) FROM m", 1, 15, "offset")]
    [InlineData("SELECT LAG(v) OVER (LIMIT DURATION(day, 8)) FROM m", 1, 27, "7")]
    [InlineData("SELECT AVG(v) OVER (PARTITION BY id) FROM m", 1, 8, "LIMIT DURATION")]
    [InlineData("SELECT LAG(v) OVER (LIMIT DURATION(s, 1)) FROM m a JOIN n b ON DATEDIFF(s, a, b) = 0", 1, 8, "JOIN")]
    [InlineData("SELECT ISFIRST(s, 1) FROM m CROSS APPLY GetArrayElements(a) AS e", 1, 8, "APPLY")]
    [InlineData("SELECT LAG(v) OVER (LIMIT DURATION(s, 1)) AS p FROM m GROUP BY TumblingWindow(s, 1)", 1, 8, "LAG")]
    [InlineData("SELECT a.id FROM m a JOIN n b ON DATEDIFF(s, a, b) >= 0", 1, 22, "DATEDIFF")]
    [InlineData("SELECT a.id FROM m a\nLEFT JOIN n b ON a.id = b.id", 2, 1, "DATEDIFF")]
    [InlineData("SELECT a.id FROM m a INNER JOIN n b ON DATEDIFF(s, a.t, b.t) BETWEEN 0 AND 1", 1, 22, "DATEDIFF")]
    [InlineData("SELECT a.id FROM m a JOIN n b ON DATEDIFF(day, a, b) BETWEEN 0 AND 8", 1, 68, "7")]
    [InlineData("SELECT a.*, * FROM m a JOIN n b ON DATEDIFF(s, a, b) = 0", 1, 13, "*")]
    [InlineData("SELECT id FROM m JOIN m ON DATEDIFF(s, m, m) = 0", 1, 23, "m")]
    [InlineData("SELECT id, v FROM m UNION SELECT id, w FROM n", 1, 38, "UNION")]
    [InlineData("SELECT id FROM m\nUNION ALL\nSELECT id, v FROM n", 3, 1, "UNION")]
    [InlineData("SELECT id FROM m CROSS APPLY Nope(a) AS e", 1, 30, "Nope")]
    [InlineData("SELECT PERCENTILE_CONT(2) OVER (ORDER BY v) FROM m GROUP BY Tumbling(s, 1)", 1, 24, "0 to 1")]
    [InlineData("SELECT TopOne() FROM m GROUP BY Tumbling(s, 1)", 1, 8, "ORDER BY")]
    [InlineData("SELECT GetArrayElements(a) FROM m", 1, 8, "APPLY")]
    [InlineData("SELECT unknown1(v) FROM m\nSELECT id FRM", 1, 8, "unknown1")]
    public void Meaning(string query, int line, int column, string contains) => Check(query, line, column, contains);

    private static void Check(string query, int line, int column, string contains)
    {
        var result = Sql.Compile(query);

        Assert.Null(result.Query);
        var first = result.Errors[0];
        Assert.True(
            first.Line == line && first.Column == column && first.Message.Contains(contains, StringComparison.OrdinalIgnoreCase),
            $"{first} (expected {line}:{column} with '{contains}')");
    }

    [Theory]
    [InlineData("SELECT INTO FROM WHERE GROUP HAVING UNION WITH AS ON JOIN INNER LEFT OUTER CROSS APPLY TIMESTAMP OVER PARTITION AND OR NOT")]
    [InlineData("IN IS NULL LIKE BETWEEN CASE WHEN THEN ELSE END DISTINCT LIMIT ORDER RIGHT FULL MATCH_RECOGNIZE ESCAPE")]
    public void Words_that_open_a_clause_cannot_be_names_without_brackets(string words)
    {
        foreach (var word in words.Split(' '))
            Check($"SELECT v AS {word} FROM m", 1, 13, word);
    }

    [Fact]
    public void Several_mistakes_are_told_in_text_order()
    {
        var result = Sql.Compile("SELECT nope(id),\n LEN() FROM m;\nSELECT id FROM nowhere;\nSELECT id FRM m");

        Assert.Equal([(1, 8), (2, 2), (3, 16), (4, 15)], result.Errors.Select(e => (e.Line, e.Column)));
    }

    [Fact]
    public void A_broken_step_does_not_make_its_readers_wrong()
    {
        var result = Sql.Compile("WITH a AS (SELECT id FRM m)\nSELECT * FROM a");

        Assert.Equal([(1, 26)], result.Errors.Select(e => (e.Line, e.Column)));
    }

    [Fact]
    public void Names_that_are_not_reserved_need_no_brackets()
    {
        var result = Sql.Compile("SELECT time, value, user, day, event, status, [window], count, first, last, window FROM m");

        Assert.Empty(result.Errors);
    }

    [Fact]
    public void Doubtful_but_legal_queries_get_warnings()
    {
        var options = new CompileOptions { Inputs = ["m"], ManyDeviceInputs = ["M"] };

        var alone = Sql.Compile("SELECT v + 1 AS w FROM m TIMESTAMP BY ts WHERE w > 1", options);
        var over = Sql.Compile("SELECT v AS w FROM m TIMESTAMP BY ts OVER id WHERE v > 1", options);

        Assert.Equal([(1, 26), (1, 48)], alone.Warnings.Select(w => (w.Line, w.Column)));
        Assert.Empty(over.Warnings);
    }

    [Fact]
    public void Deep_nesting_is_refused_and_long_chains_are_not()
    {
        var deep = Sql.Compile("SELECT " + new string('(', 5000) + "1" + new string(')', 5000) + " AS x FROM m");
        var chain = Sql.Compile("SELECT id FROM m WHERE " + string.Join(" OR ", Enumerable.Range(0, 5000).Select(i => $"id = {i}")));
        var minus = Sql.Compile("SELECT " + string.Concat(Enumerable.Repeat("- ", 5000)) + "1 AS x FROM m");

        Assert.Contains("deep", deep.Errors[0].Message, StringComparison.Ordinal);
        Assert.Empty(chain.Errors);
        Assert.NotEmpty(minus.Errors);
    }
}
