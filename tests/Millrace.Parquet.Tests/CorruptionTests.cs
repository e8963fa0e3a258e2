using FsCheck;
using FsCheck.Fluent;
using Millrace.Parquet.Tests.Support;

namespace Millrace.Parquet.Tests;

/// <summary>A damaged file is refused with a reason, or read as something; it never crashes, hangs or takes memory without bound.</summary>
public sealed class CorruptionTests
{
    /// <summary>Small, so that a file which talks the reader into trusting its sizes is caught.</summary>
    private static readonly ParquetReaderOptions Options = new()
    {
        PageBytesMax = 1 << 20,
        PageValuesMax = 1 << 18,
        BatchBytesMax = 4 << 20,
        FooterBytesMax = 1 << 20,
        ReadAheadBytes = 4096,
        VerifyChecksums = false,
    };

    public static TheoryData<string> Layouts => ["plain", "packed", "second form", "snappy"];

    [Theory, MemberData(nameof(Layouts))]
    public void A_file_cut_anywhere_is_refused(string layout)
    {
        var file = FileOf(layout);
        for (var length = 0; length < file.Length; length++)
        {
            var cut = file.AsMemory(0, length);
            var fault = Assert.Throws<ParquetFormatException>(() => TestTable.Read(cut, options: Options));
            Assert.Equal("memory", fault.File);
        }
    }

    [Theory, MemberData(nameof(Layouts))]
    public void A_flipped_bit_in_any_byte_is_refused_or_read(string layout)
    {
        var file = FileOf(layout);
        var refused = 0;
        for (var at = 0; at < file.Length; at++)
        {
            // One of the eight, another at each byte: all bits of every kind of field are met.
            file[at] ^= (byte)(1 << at % 8);
            refused += IsRefused(file) ? 1 : 0;
            file[at] ^= (byte)(1 << at % 8);
        }

        Assert.InRange(refused, file.Length / 8, file.Length);
    }

    [Fact]
    public void Random_damage_is_refused_or_read()
    {
        var cases =
            from seed in Gen.Choose(0, int.MaxValue - 1)
            from hits in Gen.Choose(1, 12)
            select (seed, hits);

        Prop.ForAll(cases.ToArbitrary(), c =>
        {
            var random = new Random(c.seed);
            var table = RandomTable.Make(c.seed, random.Next(1, 60));
            var file = table.Write(RandomTable.Options(c.seed, table) with { RowGroupRows = 25, PageRows = 10 });
            for (var i = 0; i < c.hits; i++)
                file[random.Next(file.Length)] = (byte)random.Next(256);
            IsRefused(file);
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(500));
    }

    [Fact]
    public void A_wrong_page_checksum_is_seen_and_placed()
    {
        var table = new TestTable([ParquetColumn.Int64("n")], [[1L, 2L, 3L]]);
        var file = table.Write(new ParquetWriterOptions { Codec = ParquetCodec.Uncompressed });
        using var good = ParquetReader.Open(ParquetSource.Memory(file));
        var end = (int)(good.RowGroups[0].Columns[0].CompressedBytes + 4);
        file[end - 1] ^= 1;

        var fault = Assert.Throws<ParquetFormatException>(() => TestTable.Read(file));

        Assert.Equal("n", fault.Column);
        Assert.Equal(4, fault.Offset);
        Assert.Contains("checksum", fault.Message);
    }

    [Fact]
    public void Every_flipped_bit_of_the_pages_is_seen_when_checksums_are_verified()
    {
        var table = new TestTable([ParquetColumn.Int64("n", nullable: false)], [[.. Enumerable.Range(0, 50).Select(i => (object)(long)(i * i))]]);
        var file = table.Write(new ParquetWriterOptions { Codec = ParquetCodec.Uncompressed });
        int end;
        using (var good = ParquetReader.Open(ParquetSource.Memory(file)))
            end = (int)(good.RowGroups[0].Columns[0].CompressedBytes + 4);

        for (var at = end - 40; at < end; at++)
        {
            file[at] ^= 0x10;
            Assert.Throws<ParquetFormatException>(() => TestTable.Read(file));
            file[at] ^= 0x10;
        }
    }

    [Fact]
    public void Other_formats_are_told_apart()
    {
        Refused("this is a text file, not a table"u8.ToArray(), "does not end as Parquet");
        Refused("PAR1"u8.ToArray(), "not Parquet");
        Refused([.. "PAR1"u8, .. new byte[8], .. "PARE"u8], "encrypted");
        Refused([.. "PAR1"u8, 0xFF, 0xFF, 0xFF, 0x7F, .. "PAR1"u8], "does not fit");
    }

    private static void Refused(byte[] file, string why) =>
        Assert.Contains(why, Assert.Throws<ParquetFormatException>(() => ParquetReader.Open(ParquetSource.Memory(file))).Message);

    /// <summary>Reads everything, then once more through filters and seeks; any other exception than ours fails the test.</summary>
    private static bool IsRefused(byte[] file)
    {
        var before = GC.GetAllocatedBytesForCurrentThread();
        var isRefused = false;
        try
        {
            TestTable.Read(file, options: Options);
        }
        catch (ParquetFormatException)
        {
            isRefused = true;
        }

        try
        {
            using var reader = ParquetReader.Open(ParquetSource.Memory(file), Options);
            var filters = reader.Columns.Select(FilterOn).OfType<ParquetFilter>().Take(1).ToArray();
            TestTable.Read(reader, new ParquetScanOptions { Filters = filters, BatchRows = 3 });
        }
        catch (ParquetFormatException)
        {
            isRefused = true;
        }

        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 100 << 20);
        return isRefused;
    }

    private static ParquetFilter? FilterOn(ParquetColumn column) => column.Kind switch
    {
        ParquetKind.Int64 or ParquetKind.Int32 or ParquetKind.TimestampMicros => ParquetFilter.Between(column.Name, 12, 17),
        ParquetKind.Double => ParquetFilter.Between(column.Name, 1.0, 3.0),
        ParquetKind.String => ParquetFilter.Equal(column.Name, "dev3"),
        _ => null,
    };

    private static byte[] FileOf(string layout)
    {
        var rows = 30;
        var table = new TestTable(
            [
                ParquetColumn.String("device", nullable: false), ParquetColumn.Int64("n"), ParquetColumn.Double("v"),
                ParquetColumn.Boolean("b"), ParquetColumn.String("s"), ParquetColumn.Decimal("d", 30, 2),
            ],
            [
                [.. Enumerable.Range(0, rows).Select(i => (object?)$"dev{i / 8}")],
                [.. Enumerable.Range(0, rows).Select(i => i % 5 == 0 ? (object?)null : (long)(i * 37 % 64))],
                [.. Enumerable.Range(0, rows).Select(i => (object?)(i * 0.25))],
                [.. Enumerable.Range(0, rows).Select(i => i % 3 == 0 ? (object?)null : i % 2 == 0)],
                [.. Enumerable.Range(0, rows).Select(i => (object?)$"text {i}")],
                [.. Enumerable.Range(0, rows).Select(i => (object?)(Int128)(i * 1000))],
            ]);
        var packed = new Dictionary<string, ParquetEncoding>
        {
            ["device"] = ParquetEncoding.RleDictionary,
            ["n"] = ParquetEncoding.DeltaBinaryPacked,
            ["v"] = ParquetEncoding.ByteStreamSplit,
            ["b"] = ParquetEncoding.Rle,
            ["s"] = ParquetEncoding.DeltaByteArray,
            ["d"] = ParquetEncoding.DeltaByteArray,
        };
        var options = layout switch
        {
            "plain" => new ParquetWriterOptions { Codec = ParquetCodec.Uncompressed, Encodings = table.Columns.ToDictionary(c => c.Name, _ => ParquetEncoding.Plain) },
            "packed" => new ParquetWriterOptions { Codec = ParquetCodec.Uncompressed, Encodings = packed, BloomFilters = ["device"] },
            "second form" => new ParquetWriterOptions { Codec = ParquetCodec.Gzip, PagesV2 = true, Encodings = packed },
            _ => new ParquetWriterOptions { Codec = ParquetCodec.Snappy },
        };
        return table.Write(options with { RowGroupRows = 18, PageRows = 7 });
    }
}
