using System.Runtime.InteropServices;

namespace Millrace.Parquet.Encodings;

/// <summary>
/// Reads DELTA_BINARY_PACKED step by step. 64-bit arithmetic serves both widths: cut to 32 bits it is the 32-bit result.
/// The buffer has <see cref="BitPacking.Slack"/> bytes behind its end. Hot.
/// </summary>
internal struct DeltaBinaryDecoder
{
    /// <summary>Far above what any writer uses, and low enough that no arithmetic here can overflow.</summary>
    private const int BlockValuesMax = 1 << 20;

    private readonly byte[] _buffer;
    private readonly int _end;
    private readonly int _miniblocks;
    private readonly int _miniblockValues;
    private readonly long _fileOffset;
    private int _position;
    private int _left;
    private long _value;
    private long _minimum;
    private int _widths;
    private int _miniblock;
    private int _miniblockLeft;
    private int _packedStart;
    private int _packedIndex;
    private int _width;
    private bool _atFirst;

    public DeltaBinaryDecoder(byte[] buffer, int start, int end, long fileOffset)
    {
        _buffer = buffer;
        _position = start;
        _end = end;
        _fileOffset = fileOffset;

        var blockValues = Varint();
        var miniblocks = Varint();
        var count = Varint();
        if (blockValues is 0 or > BlockValuesMax || blockValues % 128 != 0
            || miniblocks == 0 || blockValues % miniblocks != 0 || blockValues / miniblocks % 32 != 0)
        {
            throw new ParquetFormatException(
                $"delta blocks of {blockValues} values in {miniblocks} miniblocks are not legal", fileOffset);
        }

        if (count > int.MaxValue)
            throw new ParquetFormatException($"a page claims {count} delta values", fileOffset);

        _miniblocks = (int)miniblocks;
        _miniblockValues = (int)(blockValues / miniblocks);
        _miniblock = _miniblocks;
        Count = _left = (int)count;
        _value = ZigZag();
        _atFirst = true;
    }

    /// <summary>Values in all, as the header has it: a claim until they are read.</summary>
    public int Count { get; }

    /// <summary>Where the bytes behind the values begin, once all values are read.</summary>
    public readonly int Position => _position;

    public void Read(Span<long> target)
    {
        if (target.Length > _left)
            throw Ended();

        _left -= target.Length;
        if (_atFirst && !target.IsEmpty)
        {
            target[0] = _value;
            target = target[1..];
            _atFirst = false;
        }

        while (!target.IsEmpty)
        {
            if (_miniblockLeft == 0)
                NextMiniblock(target.Length + _left);

            var count = Math.Min(_miniblockLeft, target.Length);
            var part = target[..count];
            BitPacking.Unpack(_buffer, _packedStart, _width, _packedIndex, MemoryMarshal.Cast<long, ulong>(part));
            var (value, minimum) = (_value, _minimum);
            for (var i = 0; i < part.Length; i++)
                part[i] = value += part[i] + minimum;
            _value = value;
            _packedIndex += count;
            _miniblockLeft -= count;
            target = target[count..];
        }
    }

    private void NextMiniblock(int valuesLeft)
    {
        if (_miniblock == _miniblocks)
        {
            _minimum = ZigZag();
            if (_miniblocks > _end - _position)
                throw Ended();

            _widths = _position;
            _position += _miniblocks;
            _miniblock = 0;
        }

        _width = _buffer[_widths + _miniblock++];
        if (_width > 64)
            throw new ParquetFormatException($"a delta width of {_width} bits does not exist", _fileOffset);

        // The last miniblock should be padded to its full length; what is needed of it must be there.
        var needed = ((long)Math.Min(valuesLeft, _miniblockValues) * _width + 7) / 8;
        if (needed > _end - _position)
            throw Ended();

        _packedStart = _position;
        _packedIndex = 0;
        _miniblockLeft = _miniblockValues;
        _position = (int)Math.Min(_end, _position + (long)_miniblockValues * _width / 8);
    }

    private long ZigZag()
    {
        var value = Varint();
        return (long)(value >> 1) ^ -(long)(value & 1);
    }

    private ulong Varint()
    {
        ulong value = 0;
        for (var shift = 0; shift < 64; shift += 7)
        {
            if (_position >= _end)
                throw Ended();

            var next = _buffer[_position++];
            value |= (ulong)(next & 0x7F) << shift;
            if (next < 0x80)
                return value;
        }

        throw new ParquetFormatException("a delta number takes more than ten bytes", _fileOffset);
    }

    private readonly ParquetFormatException Ended() => new("a page ends before its last delta value", _fileOffset);
}
