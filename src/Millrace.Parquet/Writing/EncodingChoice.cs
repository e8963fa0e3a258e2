using Millrace.Parquet.Compression;
using Millrace.Parquet.Encodings;

namespace Millrace.Parquet.Writing;

/// <summary>
/// Chooses how a column is encoded by writing a sample each way and taking the smallest after compression. The choice
/// is kept for some row groups: neighbouring groups look alike, and trying costs as much as a page.
/// </summary>
internal sealed class EncodingChoice(ParquetEncoding? wanted, bool trials)
{
    private const int SampleValues = 20_000;
    private const int GroupsBetweenTrials = 8;

    /// <summary>A dictionary of doubles beyond this would push the page's own bytes out of a reader's cache.</summary>
    private const int NumberDictionaryBytesMax = 64 << 10;

    private const int TextDictionaryBytesMax = 1 << 20;

    private int _groupsLeft;

    public ParquetEncoding Encoding { get; private set; }

    public DeltaShape Shape { get; private set; } = DeltaShape.Default;

    /// <summary>Settles the encoding of the next chunk; when it is the dictionary, that is built.</summary>
    public void Settle(
        ParquetColumnWriter column, int valueCount, bool allowSplit,
        ValueEncoder encoder, DictionaryBuilder dictionary, PageCompressor compressor, ByteBuffer scratch)
    {
        dictionary.IsHasty = !trials && wanted is null;
        if (wanted is { } encoding)
        {
            Encoding = encoding is ParquetEncoding.PlainDictionary ? ParquetEncoding.RleDictionary : encoding;
            CheckWanted(column.Column);
            if (Encoding == ParquetEncoding.RleDictionary)
                BuildDictionary(column, valueCount, dictionary, Math.Max(1, valueCount), int.MaxValue);
            return;
        }

        if (!trials)
        {
            Encoding = BuildDictionary(column, valueCount, dictionary) ? ParquetEncoding.RleDictionary : UsualEncoding(column.Column);
            return;
        }

        if (_groupsLeft-- > 0
            && (Encoding != ParquetEncoding.RleDictionary || BuildDictionary(column, valueCount, dictionary)))
        {
            return;
        }

        _groupsLeft = GroupsBetweenTrials - 1;
        Try(column, valueCount, allowSplit, encoder, dictionary, compressor, scratch);
    }

    private void Try(
        ParquetColumnWriter column, int valueCount, bool allowSplit,
        ValueEncoder encoder, DictionaryBuilder dictionary, PageCompressor compressor, ByteBuffer scratch)
    {
        var sample = Math.Min(valueCount, SampleValues);
        var least = long.MaxValue;

        if (BuildDictionary(column, valueCount, dictionary))
        {
            scratch.Clear();
            foreach (var first in dictionary.Firsts)
                ValueEncoder.WritePlain(column, first, first + 1, scratch);
            long entries = compressor.Compress(scratch.Written).Length;
            var share = valueCount == 0 ? 0 : entries * sample / valueCount;
            Consider(ParquetEncoding.RleDictionary, DeltaShape.Default, share);
        }

        if (column.Column.Physical == PhysicalType.Boolean)
        {
            Consider(ParquetEncoding.Plain, DeltaShape.Default, 0);
        }
        else if (column.Column.IsInteger)
        {
            foreach (var shape in DeltaShape.Candidates)
                Consider(ParquetEncoding.DeltaBinaryPacked, shape, 0);
        }
        else if (column.Column.Physical == PhysicalType.ByteArray)
        {
            Consider(ParquetEncoding.DeltaLengthByteArray, DeltaShape.Default, 0);
        }
        else
        {
            Consider(ParquetEncoding.Plain, DeltaShape.Default, 0);
            if (allowSplit && column.Column.Physical == PhysicalType.Double)
                Consider(ParquetEncoding.ByteStreamSplit, DeltaShape.Default, 0);
        }

        void Consider(ParquetEncoding encoding, DeltaShape shape, long extra)
        {
            scratch.Clear();
            encoder.Write(column, 0, sample, encoding, shape, dictionary, scratch);
            var size = compressor.Compress(scratch.Written).Length + extra;
            if (size >= least)
                return;

            least = size;
            (Encoding, Shape) = (encoding, shape);
        }
    }

    private static ParquetEncoding UsualEncoding(ParquetColumn column) => column.Physical switch
    {
        PhysicalType.Int32 or PhysicalType.Int64 => ParquetEncoding.DeltaBinaryPacked,
        PhysicalType.ByteArray => ParquetEncoding.DeltaLengthByteArray,
        _ => ParquetEncoding.Plain,
    };

    private static bool BuildDictionary(ParquetColumnWriter column, int valueCount, DictionaryBuilder dictionary) =>
        column.Column.Physical switch
        {
            PhysicalType.Boolean => false,
            PhysicalType.Double =>
                BuildDictionary(column, valueCount, dictionary, Math.Min(valueCount / 2, NumberDictionaryBytesMax / 8), 0),
            PhysicalType.Int32 or PhysicalType.Int64 => BuildDictionary(column, valueCount, dictionary, valueCount / 8, 0),
            _ => BuildDictionary(column, valueCount, dictionary, valueCount / 2, TextDictionaryBytesMax),
        };

    private static bool BuildDictionary(
        ParquetColumnWriter column, int valueCount, DictionaryBuilder dictionary, int entriesMax, int bytesMax)
    {
        // A chunk of nulls, or of two values, is served as well; an empty dictionary is legal.
        entriesMax = Math.Max(entriesMax, 1);
        return column.Column.IsBytes
            ? dictionary.TryBuild(column, valueCount, entriesMax, bytesMax)
            : dictionary.TryBuild(column.Numbers(0, valueCount), entriesMax);
    }

    private void CheckWanted(ParquetColumn column)
    {
        var fits = Encoding switch
        {
            ParquetEncoding.Plain => true,
            ParquetEncoding.RleDictionary => column.Physical != PhysicalType.Boolean,
            ParquetEncoding.Rle => column.Physical == PhysicalType.Boolean,
            ParquetEncoding.DeltaBinaryPacked => column.IsInteger,
            ParquetEncoding.DeltaLengthByteArray => column.Physical == PhysicalType.ByteArray,
            ParquetEncoding.DeltaByteArray => column.IsBytes,
            ParquetEncoding.ByteStreamSplit => column.IsInteger || column.Physical == PhysicalType.Double,
            _ => false,
        };
        if (!fits)
            throw new NotSupportedException($"Column '{column.Name}' of {column.Kind} cannot be written as {Encoding}.");
    }
}
