namespace Millrace.Parquet.Encodings;

/// <summary>Reads runs and bit-packed stretches step by step. The buffer has <see cref="BitPacking.Slack"/> bytes behind its end.</summary>
internal struct HybridDecoder
{
    private readonly byte[] _buffer;
    private readonly int _end;
    private readonly int _width;
    private readonly long _fileOffset;
    private int _position;
    private int _left;
    private int _packedStart;
    private int _packedIndex;
    private int _value;
    private bool _isPacked;

    public HybridDecoder(byte[] buffer, int start, int end, int width, long fileOffset)
    {
        if (width is < 0 or > 32)
            throw new ParquetFormatException($"a bit width of {width} does not exist", fileOffset);

        _buffer = buffer;
        _position = start;
        _end = end;
        _width = width;
        _fileOffset = fileOffset;
    }

    public void Read(Span<int> target)
    {
        while (!target.IsEmpty)
        {
            if (_left == 0)
                NextRun();

            var count = Math.Min(_left, target.Length);
            if (_isPacked)
            {
                BitPacking.Unpack(_buffer, _packedStart, _width, _packedIndex, target[..count]);
                _packedIndex += count;
            }
            else
            {
                target[..count].Fill(_value);
            }

            _left -= count;
            target = target[count..];
        }
    }

    /// <summary>Reads definition levels of a flat column; returns how many values are present.</summary>
    public int ReadLevels(Span<bool> present)
    {
        var total = 0;
        while (!present.IsEmpty)
        {
            if (_left == 0)
                NextRun();

            var count = Math.Min(_left, present.Length);
            total += _isPacked ? ReadBits(present[..count]) : FillLevels(present[..count]);
            _left -= count;
            present = present[count..];
        }

        return total;
    }

    private readonly int FillLevels(Span<bool> present)
    {
        present.Fill(_value != 0);
        return _value != 0 ? present.Length : 0;
    }

    private int ReadBits(Span<bool> present)
    {
        var total = 0;
        for (var i = 0; i < present.Length; i++, _packedIndex++)
        {
            var bit = _buffer[_packedStart + (_packedIndex >> 3)] >> (_packedIndex & 7) & 1;
            present[i] = bit != 0;
            total += bit;
        }

        return total;
    }

    private void NextRun()
    {
        var header = Varint();
        _isPacked = (header & 1) != 0;
        if (!_isPacked)
        {
            var width = (_width + 7) / 8;
            if (width > _end - _position)
                throw Ended();

            _value = 0;
            for (var i = 0; i < width; i++)
                _value |= _buffer[_position++] << (i * 8);
            _left = (int)Math.Min(header >> 1, int.MaxValue);
        }
        else
        {
            // Bytes that the header claims but the page lacks are cut here and missed when a value there is asked for.
            var groups = Math.Min(header >> 1, int.MaxValue / 8);
            var bytes = Math.Min((long)groups * (uint)_width, _end - _position);
            _left = (int)(_width == 0 ? groups * 8 : Math.Min(groups * 8, (ulong)bytes * 8 / (uint)_width));
            _packedStart = _position;
            _packedIndex = 0;
            _position += (int)bytes;
        }

        if (_left == 0)
            throw Ended();
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

        throw new ParquetFormatException("a run's length takes more than ten bytes", _fileOffset);
    }

    private readonly ParquetFormatException Ended() => new("a page ends before its last value", _fileOffset);
}
