using System.IO.Compression;
using System.Text;

namespace Millrace.History.Rollups.Stored;

/// <summary>Writes a file of cells, series by series in the order of their keys. What it holds in memory is an index entry a series.</summary>
internal sealed class CellFileWriter : IDisposable
{
    /// <summary>Shorter contents do not gain by being compressed.</summary>
    private const int CompressFrom = 256;

    private readonly string _path;
    private readonly FileStream _file;
    private readonly CellEncoder _encoder;
    private readonly ByteWriter _content = new();
    private readonly ByteWriter _cells = new();
    private readonly ByteWriter _head = new();
    private readonly Dictionary<string, int> _names = new(StringComparer.Ordinal);
    private readonly List<(ulong Hash, long Offset, long Length)> _index = [];
    private readonly uint _headerCrc;
    private byte[] _compressed = [];
    private long _length;

    /// <param name="path">Where the file is to be when it is complete.</param>
    /// <param name="baseTime">No cell begins before it; a multiple of the cell length.</param>
    public CellFileWriter(string path, long cellLength, long baseTime, bool withPlaces)
    {
        _path = path;
        _encoder = new CellEncoder(cellLength, baseTime, withPlaces);
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        _file = new FileStream(path + ".tmp", FileMode.Create, FileAccess.Write, FileShare.None, 256 << 10);
        _head.UInt32(CellFile.Magic);
        _head.UInt32(CellFile.Version | (uint)(withPlaces ? CellFile.WithPlaces : 0) << 16);
        _head.UInt64((ulong)cellLength);
        _head.UInt64((ulong)baseTime);
        _headerCrc = CellFile.Crc(_head.Written);
        Write(_head.Written);
    }

    public int SeriesCount => _index.Count;

    /// <summary>Adds a series. Fields without cells are left out, and so is a series without any.</summary>
    public void Add(ulong hash, ReadOnlySpan<byte> key, IReadOnlyList<FieldCells> fields)
    {
        var filled = fields.Count(field => field.Cells.Count > 0);
        if (filled == 0)
            return;

        _content.Clear();
        _content.Varint((ulong)key.Length);
        _content.Bytes(key);
        _content.Varint((ulong)filled);
        _encoder.Begin();
        foreach (var field in fields)
        {
            if (field.Cells.Count == 0)
                continue;
            _cells.Clear();
            _encoder.Write(_cells, field.Cells);
            _content.Varint((ulong)NumberOf(field.Field));
            _content.Varint((ulong)_cells.Length);
            _content.Bytes(_cells.Written);
        }

        var offset = _length;
        WriteBlock(_content.Written);
        _index.Add((hash, offset, _length - offset));
    }

    /// <summary>Writes index and footer, flushes to the disk and puts the file in its place.</summary>
    public void Complete(ReadOnlySpan<byte> meta)
    {
        _index.Sort();
        var indexAt = _length;
        for (var i = 0; i < _index.Count; i++)
            Write(Entry(i));

        var bits = CellFile.FanOutBits(_index.Count);
        var fanOutAt = WriteFanOut(bits);
        var namesAt = _length;
        _content.Clear();
        _content.Varint((ulong)_names.Count);
        foreach (var name in _names.OrderBy(name => name.Value).Select(name => Encoding.UTF8.GetBytes(name.Key)))
        {
            _content.Varint((ulong)name.Length);
            _content.Bytes(name);
        }

        var metaAt = namesAt + _content.Length;
        _content.Bytes(meta);
        var footerAt = namesAt + _content.Length;
        foreach (var at in new[] { indexAt, fanOutAt, namesAt, metaAt, footerAt })
            _content.UInt64((ulong)at);
        _content.UInt32((uint)_index.Count);
        _content.UInt32((uint)bits);
        _content.UInt64(_headerCrc);
        _content.UInt32(CellFile.Crc(_content.Written));
        _content.UInt32(CellFile.Magic);
        Write(_content.Written);
        _file.Flush(flushToDisk: true);
        _file.Dispose();
        File.Move(_path + ".tmp", _path, overwrite: true);
    }

    public void Dispose() => _file.Dispose();

    private void WriteBlock(ReadOnlySpan<byte> content)
    {
        var codec = CellFile.Plain;
        var stored = content;
        if (content.Length >= CompressFrom)
        {
            var most = BrotliEncoder.GetMaxCompressedLength(content.Length);
            if (_compressed.Length < most)
                _compressed = new byte[most];
            if (BrotliEncoder.TryCompress(content, _compressed, out var written, quality: 1, window: 18) && written < content.Length)
            {
                codec = CellFile.Brotli;
                stored = _compressed.AsSpan(0, written);
            }
        }

        _head.Clear();
        _head.Byte(codec);
        _head.UInt32((uint)content.Length);
        var crc = CellFile.Crc(stored, CellFile.Crc(_head.Written));
        _head.Clear();
        _head.UInt32((uint)(stored.Length + CellFile.BlockHeaderBytes - 4));
        _head.UInt32(crc);
        _head.Byte(codec);
        _head.UInt32((uint)content.Length);
        Write(_head.Written);
        Write(stored);
    }

    private long WriteFanOut(int bits)
    {
        var at = _length;
        var first = 0;
        _content.Clear();
        for (var slot = 0; slot < 1 << bits; slot++)
        {
            var next = first;
            while (next < _index.Count && CellFile.Slot(_index[next].Hash, bits) == slot)
                next++;
            var crc = CellFile.SlotSeed((uint)first, (uint)next);
            for (var i = first; i < next; i++)
                crc = CellFile.Crc(Entry(i), crc);
            _content.UInt32((uint)first);
            _content.UInt32(crc);
            first = next;
        }

        _content.UInt32((uint)_index.Count);
        _content.UInt32(0);
        Write(_content.Written);
        return at;
    }

    private ReadOnlySpan<byte> Entry(int place)
    {
        _head.Clear();
        _head.UInt64(_index[place].Hash);
        _head.UInt64((ulong)_index[place].Offset);
        _head.UInt64((ulong)_index[place].Length);
        return _head.Written;
    }

    private int NumberOf(string name)
    {
        if (!_names.TryGetValue(name, out var number))
            _names.Add(name, number = _names.Count);
        return number;
    }

    private void Write(ReadOnlySpan<byte> bytes)
    {
        _file.Write(bytes);
        _length += bytes.Length;
    }
}
