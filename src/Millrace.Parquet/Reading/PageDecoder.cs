using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Millrace.Parquet.Encodings;

namespace Millrace.Parquet.Reading;

/// <summary>
/// Takes values out of an unpacked data page, some at a time. The page's buffer has <see cref="BitPacking.Slack"/> bytes behind
/// its end. Hot.
/// </summary>
internal sealed class PageDecoder(ParquetColumn column, ParquetReaderOptions options)
{
    private const int ScratchValues = 1024;

    private readonly int[] _scratch = new int[ScratchValues];
    private readonly bool[] _skippedBooleans = new bool[ScratchValues];
    private ParquetEncoding _encoding;
    private byte[] _page = [];
    private int _at;
    private int _end;
    private long _fileOffset;
    private HybridDecoder _hybrid;
    private DeltaBinaryDecoder _delta;
    private int _valueIndex;
    private int _valueCount;
    private int[] _prefixes = [];
    private int[] _lengths = [];
    private byte[] _last = [];
    private int _lastLength;

    // The chunk's dictionary, once its page was read.
    private long[] _numbers = [];
    private double[] _doubles = [];
    private bool _hasDictionary;

    /// <summary>The chunk's dictionary of texts; an empty one until its page was read.</summary>
    public TextDictionary Texts { get; private set; } = TextDictionary.Empty;

    public bool UsesDictionary => _encoding == ParquetEncoding.RleDictionary;

    public void SetDictionary(byte[] page, int length, int count, ParquetEncoding encoding, long fileOffset)
    {
        if (encoding is not (ParquetEncoding.Plain or ParquetEncoding.PlainDictionary))
            throw new ParquetFormatException($"a dictionary page is encoded as {encoding}", fileOffset);

        _hasDictionary = true;
        if (column.IsBytes)
        {
            Texts = new TextDictionary(page, length, count, column.FixedLength, fileOffset);
            return;
        }

        if (column.Physical == PhysicalType.Boolean || (long)count * PlainWidth > length)
            throw new ParquetFormatException($"a dictionary page of {length} bytes cannot hold {count} values", fileOffset);

        (_encoding, _page, _at, _end, _fileOffset) = (ParquetEncoding.Plain, page, 0, length, fileOffset);
        if (column.IsInteger)
            ReadIntegers(_numbers = new long[count]);
        else
            ReadDoubles(_doubles = new double[count]);
    }

    /// <summary>Starts on the values of a page, at <paramref name="start"/> of its bytes.</summary>
    /// <remarks><paramref name="valueCount"/>: The most values there can be, with nulls.</remarks>
    public void Begin(byte[] page, int start, int end, int valueCount, ParquetEncoding encoding, long fileOffset)
    {
        _encoding = encoding == ParquetEncoding.PlainDictionary ? ParquetEncoding.RleDictionary : encoding;
        (_page, _at, _end, _fileOffset) = (page, start, end, fileOffset);
        (_valueIndex, _valueCount) = (0, valueCount);

        // A page of nulls has no values, not even the bytes that would say so.
        if (start == end && _encoding != ParquetEncoding.Plain)
        {
            _hybrid = new HybridDecoder(page, end, end, 1, fileOffset);
            _delta = default;
            (_valueCount, _lengths, _prefixes) = (0, [], []);
            return;
        }

        switch (_encoding)
        {
            case ParquetEncoding.Plain:
                break;
            case ParquetEncoding.RleDictionary when _hasDictionary:
                _hybrid = new HybridDecoder(page, start + 1, end, page[start], fileOffset);
                break;
            case ParquetEncoding.RleDictionary:
                throw new ParquetFormatException("a page refers to a dictionary and there is none", fileOffset);
            case ParquetEncoding.Rle when column.Physical == PhysicalType.Boolean:
                if (end - start < 4)
                    throw Ended();
                var length = BinaryPrimitives.ReadUInt32LittleEndian(page.AsSpan(start));
                if (length > end - start - 4)
                    throw Ended();
                _hybrid = new HybridDecoder(page, start + 4, start + 4 + (int)length, 1, fileOffset);
                break;
            case ParquetEncoding.DeltaBinaryPacked when column.IsInteger:
                _delta = new DeltaBinaryDecoder(page, start, end, fileOffset);
                break;
            case ParquetEncoding.DeltaLengthByteArray when column.Physical == PhysicalType.ByteArray:
                _at = ReadLengths(start, ref _lengths);
                break;
            case ParquetEncoding.DeltaByteArray when column.IsBytes:
                _at = ReadLengths(ReadLengths(start, ref _prefixes), ref _lengths);
                if (_prefixes.Length < _valueCount)
                    throw Ended();
                _lastLength = 0;
                break;
            case ParquetEncoding.ByteStreamSplit when column.Physical is not (PhysicalType.Boolean or PhysicalType.ByteArray):
                if ((end - start) % PlainWidth != 0)
                    throw new ParquetFormatException("a split page is no multiple of its values' width", fileOffset);
                _valueCount = (end - start) / PlainWidth;
                break;
            default:
                throw new ParquetFormatException($"values of {column.Physical} encoded as {encoding} are not read", fileOffset);
        }
    }

    public void ReadIntegers(Span<long> target)
    {
        switch (_encoding)
        {
            case ParquetEncoding.Plain when column.Physical == PhysicalType.Int64:
                Take(target.Length * 8L).CopyTo(MemoryMarshal.AsBytes(target));
                break;
            case ParquetEncoding.Plain:
                var words = MemoryMarshal.Cast<byte, int>(Take(target.Length * 4L));
                for (var i = 0; i < target.Length; i++)
                    target[i] = words[i];
                NarrowUnsigned(target);
                break;
            case ParquetEncoding.RleDictionary:
                ReadThrough(_numbers, target);
                break;
            case ParquetEncoding.DeltaBinaryPacked:
                _delta.Read(target);
                if (column.Physical == PhysicalType.Int32)
                    Narrow(target);
                break;
            default:
                for (var i = 0; i < target.Length; i++)
                    target[i] = SplitValue();
                if (column.Physical == PhysicalType.Int32)
                    Narrow(target);
                break;
        }
    }

    public void ReadDoubles(Span<double> target)
    {
        switch (_encoding)
        {
            case ParquetEncoding.Plain when column.Physical == PhysicalType.Double:
                Take(target.Length * 8L).CopyTo(MemoryMarshal.AsBytes(target));
                break;
            case ParquetEncoding.Plain:
                var singles = MemoryMarshal.Cast<byte, float>(Take(target.Length * 4L));
                for (var i = 0; i < target.Length; i++)
                    target[i] = singles[i];
                break;
            case ParquetEncoding.RleDictionary:
                ReadThrough(_doubles, target);
                break;
            case ParquetEncoding.ByteStreamSplit:
                for (var i = 0; i < target.Length; i++)
                {
                    var bits = SplitValue();
                    target[i] = column.Physical == PhysicalType.Float
                        ? BitConverter.Int32BitsToSingle((int)bits)
                        : BitConverter.Int64BitsToDouble(bits);
                }

                break;
            default:
                throw Ended();
        }
    }

    public void ReadBooleans(Span<bool> target)
    {
        if (_encoding == ParquetEncoding.Rle)
        {
            _hybrid.ReadLevels(target);
            return;
        }

        if (_valueIndex + (long)target.Length > (_end - _at) * 8L)
            throw Ended();
        for (var i = 0; i < target.Length; i++, _valueIndex++)
            target[i] = (_page[_at + (_valueIndex >> 3)] >> (_valueIndex & 7) & 1) != 0;
    }

    /// <summary>Reads dictionary numbers, each checked against the dictionary.</summary>
    public void ReadIndexes(Span<int> target, int dictionaryCount)
    {
        _hybrid.Read(target);
        var greatest = 0u;
        foreach (var index in target)
            greatest = Math.Max(greatest, (uint)index);
        if (greatest >= (uint)dictionaryCount && !target.IsEmpty)
        {
            throw new ParquetFormatException(
                $"a page names entry {greatest} of a dictionary of {dictionaryCount}", _fileOffset);
        }
    }

    /// <summary>Appends the bytes of the next values to the vector, and their ends from <paramref name="row"/> on.</summary>
    public void ReadBytes(ParquetVector vector, int row, int count)
    {
        for (var i = 0; i < count; i++)
        {
            switch (_encoding)
            {
                case ParquetEncoding.Plain:
                    var length = column.Physical == PhysicalType.ByteArray ? PlainLength() : column.FixedLength;
                    vector.Append(Take(length), options.BatchBytesMax);
                    break;
                case ParquetEncoding.DeltaLengthByteArray:
                    vector.Append(Take(NextLength(_lengths)), options.BatchBytesMax);
                    _valueIndex++;
                    break;
                case ParquetEncoding.DeltaByteArray:
                    vector.Append(NextFrontCoded(), options.BatchBytesMax);
                    break;
                default:
                    AppendSplit(vector);
                    break;
            }

            vector.EndBuffer[row + i] = vector.DataLength;
        }
    }

    /// <summary>Passes over values.</summary>
    public void Skip(int count, ParquetVector scratch)
    {
        for (var done = 0; done < count;)
        {
            var part = Math.Min(ScratchValues, count - done);
            scratch.Begin(part);
            if (column.IsBytes && UsesDictionary)
                ReadIndexes(_scratch.AsSpan(0, part), Texts.Count);
            else if (column.IsBytes)
                ReadBytes(scratch, 0, part);
            else if (column.IsInteger)
                ReadIntegers(scratch.NumberBuffer.AsSpan(0, part));
            else if (column.Physical == PhysicalType.Boolean)
                ReadBooleans(_skippedBooleans.AsSpan(0, part));
            else
                ReadDoubles(scratch.DoubleBuffer.AsSpan(0, part));
            done += part;
        }
    }

    private int PlainWidth => column.Physical switch
    {
        PhysicalType.Int32 or PhysicalType.Float => 4,
        PhysicalType.FixedLenByteArray => column.FixedLength,
        _ => 8,
    };

    private ReadOnlySpan<byte> Take(long count)
    {
        if (count > _end - _at)
            throw Ended();

        _at += (int)count;
        return _page.AsSpan(_at - (int)count, (int)count);
    }

    private long PlainLength() => BinaryPrimitives.ReadUInt32LittleEndian(Take(4));

    private void ReadThrough<T>(T[] dictionary, Span<T> target)
    {
        while (!target.IsEmpty)
        {
            var part = _scratch.AsSpan(0, Math.Min(ScratchValues, target.Length));
            ReadIndexes(part, dictionary.Length);
            for (var i = 0; i < part.Length; i++)
                target[i] = dictionary[part[i]];
            target = target[part.Length..];
        }
    }

    private void Narrow(Span<long> values)
    {
        for (var i = 0; i < values.Length; i++)
            values[i] = (int)values[i];
        NarrowUnsigned(values);
    }

    private void NarrowUnsigned(Span<long> values)
    {
        if (!column.IsUnsigned)
            return;

        for (var i = 0; i < values.Length; i++)
            values[i] = (uint)values[i];
    }

    /// <summary>Reads all lengths of a page, since the bytes begin behind them; returns where.</summary>
    private int ReadLengths(int start, ref int[] lengths)
    {
        var delta = new DeltaBinaryDecoder(_page, start, _end, _fileOffset);
        if (delta.Count > _valueCount)
            throw new ParquetFormatException($"a page of {_valueCount} values has {delta.Count} lengths", _fileOffset);

        _valueCount = delta.Count;
        lengths = new int[delta.Count];
        Span<long> part = stackalloc long[256];
        for (var i = 0; i < lengths.Length; i += part.Length)
        {
            var count = Math.Min(part.Length, lengths.Length - i);
            delta.Read(part[..count]);
            for (var k = 0; k < count; k++)
                lengths[i + k] = (int)part[k];
        }

        return delta.Position;
    }

    private int NextLength(int[] lengths)
    {
        if (_valueIndex >= lengths.Length)
            throw Ended();

        var length = lengths[_valueIndex];
        return length >= 0 ? length : throw new ParquetFormatException($"a value has a length of {length}", _fileOffset);
    }

    private ReadOnlySpan<byte> NextFrontCoded()
    {
        var suffix = Take(NextLength(_lengths));
        var shared = NextLength(_prefixes);
        _valueIndex++;
        if (shared > _lastLength)
            throw new ParquetFormatException("a value shares more with the one before it than that has", _fileOffset);
        if (suffix.Length > options.BatchBytesMax - shared)
            throw new ParquetFormatException("a value is longer than a batch may be", _fileOffset);

        _lastLength = shared + suffix.Length;
        if (_last.Length < _lastLength)
            Array.Resize(ref _last, (int)Math.Min(Array.MaxLength, Math.Max(_last.Length * 2L, _lastLength)));
        suffix.CopyTo(_last.AsSpan(shared));
        return _last.AsSpan(0, _lastLength);
    }

    private long SplitValue()
    {
        if (_valueIndex >= _valueCount || _encoding != ParquetEncoding.ByteStreamSplit)
            throw Ended();

        long value = 0;
        for (var b = 0; b < PlainWidth; b++)
            value |= (long)_page[_at + b * _valueCount + _valueIndex] << (8 * b);
        _valueIndex++;
        return value;
    }

    private void AppendSplit(ParquetVector vector)
    {
        if (_valueIndex >= _valueCount || _encoding != ParquetEncoding.ByteStreamSplit)
            throw Ended();

        var target = vector.Append(column.FixedLength, options.BatchBytesMax);
        for (var b = 0; b < target.Length; b++)
            target[b] = _page[_at + b * _valueCount + _valueIndex];
        _valueIndex++;
    }

    private ParquetFormatException Ended() => new("a page ends before its last value", _fileOffset);
}
