using System.Text;

namespace Millrace.Parquet.Tests.Support;

/// <summary>A table as plain objects: long, double, bool, byte[], Int128 or null.</summary>
internal sealed record TestTable(IReadOnlyList<ParquetColumn> Columns, IReadOnlyList<object?[]> Values)
{
    public int Rows => Values[0].Length;

    public byte[] Write(ParquetWriterOptions? options = null, int commitEvery = int.MaxValue)
    {
        using var stream = new MemoryStream();
        var writer = new ParquetWriter(stream, Columns, options);
        writer.Metadata["millrace.rows"] = Rows.ToString();
        for (var row = 0; row < Rows; row++)
        {
            for (var c = 0; c < Columns.Count; c++)
                Add(writer[c], Values[c][row]);
            if ((row + 1) % commitEvery == 0)
                writer.CommitRows();
        }

        writer.Complete();
        return stream.ToArray();
    }

    public static TestTable Read(
        ReadOnlyMemory<byte> file, ParquetScanOptions? scanOptions = null, ParquetReaderOptions? options = null)
    {
        using var reader = ParquetReader.Open(ParquetSource.Memory(file), options);
        return Read(reader, scanOptions);
    }

    public static TestTable Read(ParquetReader reader, ParquetScanOptions? scanOptions = null)
    {
        var scan = reader.Scan(scanOptions);
        var names = scanOptions?.Columns ?? [.. reader.Columns.Select(c => c.Name)];
        var columns = names.Select(name => reader.Columns[reader.IndexOf(name)]).ToList();
        var values = columns.Select(_ => new List<object?>()).ToList();
        while (scan.Read())
        {
            for (var c = 0; c < columns.Count; c++)
            {
                for (var row = 0; row < scan.RowCount; row++)
                    values[c].Add(ValueOf(scan[c], row));
            }
        }

        return new TestTable(columns, [.. values.Select(v => v.ToArray())]);
    }

    public void AssertEqual(TestTable other)
    {
        Assert.Equal(Columns, other.Columns);
        for (var c = 0; c < Columns.Count; c++)
        {
            Assert.Equal(Values[c].Length, other.Values[c].Length);
            for (var row = 0; row < Values[c].Length; row++)
            {
                if (!Same(Values[c][row], other.Values[c][row]))
                {
                    Assert.Fail($"Column {Columns[c]}, row {row}: {Show(Values[c][row])} became {Show(other.Values[c][row])}.");
                }
            }
        }
    }

    public static object? ValueOf(ParquetVector vector, int row)
    {
        if (vector.IsNull(row))
            return null;

        return vector.Column.Kind switch
        {
            ParquetKind.Boolean => vector.Booleans[row],
            ParquetKind.Double or ParquetKind.Float => vector.Doubles[row],
            ParquetKind.Decimal when vector.Column.IsWideDecimal => vector.Decimal(row),
            ParquetKind.String or ParquetKind.Json or ParquetKind.Bytes or ParquetKind.FixedBytes => vector.Bytes(row).ToArray(),
            _ => vector.Int64s[row],
        };
    }

    private static void Add(ParquetColumnWriter column, object? value)
    {
        switch (value)
        {
            case null:
                column.AddNull();
                break;
            case long number:
                column.Add(number);
                break;
            case double number:
                column.Add(number);
                break;
            case bool flag:
                column.Add(flag);
                break;
            case Int128 wide:
                column.Add(wide);
                break;
            case string text:
                column.Add(text);
                break;
            default:
                column.Add((ReadOnlySpan<byte>)(byte[])value);
                break;
        }
    }

    private static bool Same(object? a, object? b) => (a, b) switch
    {
        (double x, double y) => BitConverter.DoubleToInt64Bits(x) == BitConverter.DoubleToInt64Bits(y),
        (byte[] x, byte[] y) => x.AsSpan().SequenceEqual(y),
        (string x, byte[] y) => Encoding.UTF8.GetBytes(x).AsSpan().SequenceEqual(y),
        _ => Equals(a, b),
    };

    private static string Show(object? value) => value switch
    {
        null => "null",
        byte[] bytes => Convert.ToHexString(bytes),
        _ => $"{value} ({value.GetType().Name})",
    };
}
