namespace Millrace.Parquet.Tests.Support;

/// <summary>Tables, options and values that a seed chooses, with the awkward ones well represented.</summary>
internal static class RandomTable
{
    private static readonly double[] AwkwardDoubles =
        [double.NaN, 0.0, -0.0, double.PositiveInfinity, double.NegativeInfinity, double.Epsilon, double.MaxValue, 20.829];

    private static readonly string[] AwkwardTexts =
        ["", "\0", "a\0b", "😀", "žluťoučký", new string('x', 63), new string('x', 64), new string('y', 65), new string('é', 200)];

    /// <param name="withinCalendar">Keeps times and dates where other readers can show them.</param>
    public static TestTable Make(int seed, int rows, bool withinCalendar = false)
    {
        var random = new Random(seed);
        var columns = new List<ParquetColumn>();
        var values = new List<object?[]>();
        for (var i = 0; i < random.Next(1, 6); i++)
        {
            var column = Column(random, $"c{i}");
            columns.Add(column);
            values.Add(Values(random, column, rows, withinCalendar));
        }

        return new TestTable(columns, values);
    }

    public static ParquetWriterOptions Options(int seed, TestTable table)
    {
        var random = new Random(seed);
        var encodings = new Dictionary<string, ParquetEncoding>();
        foreach (var column in table.Columns)
        {
            var choices = EncodingsOf(column);
            var choice = random.Next(choices.Length * 2);
            if (choice < choices.Length)
                encodings[column.Name] = choices[choice];
        }

        return new ParquetWriterOptions
        {
            Codec = Pick(random, ParquetCodec.Uncompressed, ParquetCodec.Gzip, ParquetCodec.Snappy, ParquetCodec.Brotli),
            GzipLevel = random.Next(1, 10),
            RowGroupRows = Pick(random, 1, 7, 100, 1000, 122_880),
            PageRows = Pick(random, 1, 8, 32, 128, 129, 20_000),
            PageBytesMax = Pick(random, 1, 200, 1 << 20),
            PagesV2 = random.Next(2) == 0,
            PageIndex = random.Next(3) > 0,
            ByteStreamSplit = random.Next(2) == 0,
            Encodings = encodings,
            BloomFilters = random.Next(2) == 0 ? [table.Columns[0].Name] : [],
        };
    }

    public static ParquetEncoding[] EncodingsOf(ParquetColumn column) => column.Kind switch
    {
        ParquetKind.Boolean => [ParquetEncoding.Plain, ParquetEncoding.Rle],
        ParquetKind.Double => [ParquetEncoding.Plain, ParquetEncoding.RleDictionary, ParquetEncoding.ByteStreamSplit],
        ParquetKind.String or ParquetKind.Json or ParquetKind.Bytes =>
            [ParquetEncoding.Plain, ParquetEncoding.RleDictionary, ParquetEncoding.DeltaLengthByteArray, ParquetEncoding.DeltaByteArray],
        ParquetKind.Decimal when column.IsWideDecimal =>
            [ParquetEncoding.Plain, ParquetEncoding.RleDictionary, ParquetEncoding.DeltaByteArray],
        _ => [ParquetEncoding.Plain, ParquetEncoding.RleDictionary, ParquetEncoding.DeltaBinaryPacked, ParquetEncoding.ByteStreamSplit],
    };

    public static object?[] Values(Random random, ParquetColumn column, int rows, bool withinCalendar = false)
    {
        var distinct = Pick(random, 1, 3, int.MaxValue);
        var nullShare = column.IsNullable ? Pick(random, 0.0, 0.05, 0.5, 1.0) : 0;
        var pool = new List<object>();
        var values = new object?[rows];
        for (var row = 0; row < rows; row++)
        {
            if (random.NextDouble() < nullShare)
                continue;

            if (row > 0 && values[row - 1] is { } previous && random.Next(4) == 0)
            {
                values[row] = previous;
            }
            else if (pool.Count >= distinct)
            {
                values[row] = pool[random.Next(pool.Count)];
            }
            else
            {
                values[row] = withinCalendar && IsCalendar(column) ? random.NextInt64(-100_000, 100_000) : Value(random, column);
                pool.Add(values[row]!);
            }
        }

        return values;
    }

    private static ParquetColumn Column(Random random, string name)
    {
        var nullable = random.Next(3) > 0;
        return random.Next(12) switch
        {
            0 => ParquetColumn.Boolean(name, nullable),
            1 => ParquetColumn.Int32(name, nullable),
            2 => ParquetColumn.Int64(name, nullable),
            3 => ParquetColumn.Double(name, nullable),
            4 => ParquetColumn.String(name, nullable),
            5 => ParquetColumn.TimestampMillis(name, nullable),
            6 => ParquetColumn.TimestampMicros(name, nullable),
            7 => ParquetColumn.Decimal(name, 9, 3, nullable),
            8 => ParquetColumn.Decimal(name, 18, 0, nullable),
            9 => ParquetColumn.Decimal(name, 38, 10, nullable),
            10 => ParquetColumn.Bytes(name, nullable),
            _ => ParquetColumn.Date(name, nullable),
        };
    }

    private static bool IsCalendar(ParquetColumn column) =>
        column.Kind is ParquetKind.Date or ParquetKind.TimestampMillis or ParquetKind.TimestampMicros;

    private static object Value(Random random, ParquetColumn column) => column.Kind switch
    {
        ParquetKind.Boolean => random.Next(2) == 0,
        ParquetKind.Double => random.Next(3) == 0 ? Pick(random, AwkwardDoubles) : random.NextDouble() * 1000,
        ParquetKind.String => random.Next(3) == 0 ? Pick(random, AwkwardTexts) : $"device-{random.Next(1000)}",
        ParquetKind.Bytes => Bytes(random),
        ParquetKind.Decimal when column.IsWideDecimal => new Int128((ulong)random.NextInt64(long.MinValue, long.MaxValue), (ulong)random.NextInt64()) / 100,
        ParquetKind.Decimal when column.Precision == 9 => (long)random.Next(-999_999_999, 999_999_999),
        ParquetKind.Decimal => random.NextInt64(-999_999_999_999_999_999, 999_999_999_999_999_999),
        ParquetKind.Int32 or ParquetKind.Date => Pick(random, int.MinValue, int.MaxValue, 0, random.Next(-1000, 1000), (long)random.Next()),
        _ => Pick(random, long.MinValue, long.MaxValue, 0, random.NextInt64(), random.Next(100_000), 1_772_323_200_000 + random.Next(1_000_000)),
    };

    private static byte[] Bytes(Random random)
    {
        var bytes = new byte[random.Next(12)];
        random.NextBytes(bytes);
        return bytes;
    }

    private static T Pick<T>(Random random, params T[] values) => values[random.Next(values.Length)];
}
