using System.Buffers.Binary;
using System.IO.Compression;
using System.Text;
using Microsoft.Win32.SafeHandles;

namespace Millrace.History.Rollups.Stored;

/// <summary>Reads a file of cells: single series by their key, or all in the order of the keys. Thread-safe, but for the buffers of a walk.</summary>
internal sealed class CellFileReader : IDisposable
{
    private readonly SafeFileHandle _file;
    private readonly string _path;
    private readonly long _cellLength;
    private readonly long _base;
    private readonly bool _withPlaces;
    private readonly int _version;
    private readonly long _indexAt;
    private readonly long _fanOutAt;
    private readonly int _entries;
    private readonly int _bits;
    private readonly string[] _names;

    /// <exception cref="InvalidDataException">It is no whole file of cells.</exception>
    /// <exception cref="FileNotFoundException">It is not there.</exception>
    public CellFileReader(string path)
    {
        _path = path;
        _file = File.OpenHandle(path);
        try
        {
            var length = RandomAccess.GetLength(_file);
            if (length < CellFile.HeaderBytes + CellFile.FooterBytes)
                throw Damaged("is too short");
            var header = new ByteReader(Bytes(0, CellFile.HeaderBytes));
            var magic = header.UInt32();
            var version = header.UInt32();
            _version = (int)(version & 0xFFFF);
            if (magic != CellFile.Magic || _version is < CellFile.FirstVersion or > CellFile.Version)
                throw Damaged($"is none of this release (version {_version})");
            _withPlaces = (version >> 16 & CellFile.WithPlaces) != 0;
            (_cellLength, _base) = ((long)header.UInt64(), (long)header.UInt64());

            var footer = new ByteReader(Bytes(length - CellFile.FooterBytes, CellFile.FooterBytes));
            var (indexAt, fanOutAt, namesAt, metaAt, footerAt) =
                ((long)footer.UInt64(), (long)footer.UInt64(), (long)footer.UInt64(), (long)footer.UInt64(), (long)footer.UInt64());
            (_entries, _bits) = ((int)footer.UInt32(), (int)footer.UInt32());
            var headerCrc = footer.UInt64();
            var crc = footer.UInt32();
            if (footer.UInt32() != CellFile.Magic || footerAt != length - CellFile.FooterBytes || namesAt < 0 || namesAt > metaAt || metaAt > footerAt
                || footerAt - namesAt > CellFile.BlockBytesMax || CellFile.Crc(Bytes(namesAt, (int)(length - 8 - namesAt))) != crc
                || CellFile.Crc(Bytes(0, CellFile.HeaderBytes)) != headerCrc)
            {
                throw Damaged("is damaged at its end");
            }

            (_indexAt, _fanOutAt) = (indexAt, fanOutAt);
            Meta = Bytes(metaAt, (int)(footerAt - metaAt));
            _names = ReadNames(Bytes(namesAt, (int)(metaAt - namesAt)));
        }
        catch
        {
            _file.Dispose();
            throw;
        }
    }

    public string Path => _path;

    /// <summary>What the writer said the file was made from.</summary>
    public byte[] Meta { get; }

    /// <summary>No cell begins before it.</summary>
    public long BaseTime => _base;

    public int SeriesCount => _entries;

    public IReadOnlyList<string> Names => _names;

    /// <summary>The cells of one series; empty when it has none here.</summary>
    /// <param name="fields">Null: all.</param>
    public List<FieldCells> Find(ulong hash, ReadOnlySpan<byte> key, IReadOnlyCollection<string>? fields)
    {
        var slot = CellFile.Slot(hash, _bits);
        Span<byte> bounds = stackalloc byte[12];
        Fill(bounds, _fanOutAt + slot * 8L);
        var from = BinaryPrimitives.ReadUInt32LittleEndian(bounds);
        var crc = BinaryPrimitives.ReadUInt32LittleEndian(bounds[4..]);
        var to = BinaryPrimitives.ReadUInt32LittleEndian(bounds[8..]);
        if (from > to || to > _entries)
            throw Damaged("has a damaged index");

        var entries = Bytes(_indexAt + from * (long)CellFile.EntryBytes, (int)(to - from) * CellFile.EntryBytes);
        if (CellFile.Crc(entries, CellFile.SlotSeed(from, to)) != crc)
            throw Damaged("has a damaged index");
        for (var at = 0; at < entries.Length; at += CellFile.EntryBytes)
        {
            var entry = new ByteReader(entries.AsSpan(at, CellFile.EntryBytes));
            if (entry.UInt64() != hash)
                continue;
            var (offset, length) = ((long)entry.UInt64(), (long)entry.UInt64());
            if (length is < CellFile.BlockHeaderBytes or > CellFile.BlockBytesMax)
                throw Damaged("has a damaged index");
            var content = new ByteReader(Open(Bytes(offset, (int)length)));
            if (content.Bytes((int)content.Varint()).SequenceEqual(key))
                return ReadFields(ref content, fields);
        }

        return [];
    }

    /// <summary>Every series in the order of the keys.</summary>
    public IEnumerable<(byte[] Key, List<FieldCells> Fields)> All()
    {
        long at = CellFile.HeaderBytes;
        while (at < _indexAt)
        {
            var length = BinaryPrimitives.ReadUInt32LittleEndian(Bytes(at, 4)) + 4L;
            if (length is < CellFile.BlockHeaderBytes or > CellFile.BlockBytesMax)
                throw Damaged("has a damaged block");
            yield return Series(Open(Bytes(at, (int)length)));
            at += length;
        }
    }

    public void Dispose() => _file.Dispose();

    private (byte[] Key, List<FieldCells> Fields) Series(byte[] block)
    {
        var content = new ByteReader(block);
        var key = content.Bytes((int)content.Varint()).ToArray();
        return (key, ReadFields(ref content, null));
    }

    private List<FieldCells> ReadFields(ref ByteReader content, IReadOnlyCollection<string>? fields)
    {
        var found = new List<FieldCells>();
        var decoder = new CellDecoder(_cellLength, _base, _withPlaces);
        for (var left = (int)content.Varint(); left > 0; left--)
        {
            var number = content.Varint();
            if (number >= (ulong)_names.Length)
                throw Damaged("has a damaged block");
            var bytes = content.Bytes((int)content.Varint());
            var isWanted = fields is null || fields.Contains(_names[number]);
            if (_version > CellFile.FirstVersion && decoder.Read(bytes, isWanted) is { } cells)
                found.Add(new FieldCells(_names[number], cells));
            else if (_version == CellFile.FirstVersion && isWanted)
                found.Add(new FieldCells(_names[number], ReadFirst(bytes)));
        }

        return found;
    }

    private List<Cell> ReadFirst(ReadOnlySpan<byte> bytes)
    {
        var input = new ByteReader(bytes);
        var cells = new List<Cell>();
        var before = 0L;
        while (!input.IsAtEnd)
            cells.Add(FirstCellCodec.Read(ref input, ref before, _cellLength, _base, _withPlaces));
        return cells;
    }

    /// <summary>A block's content, checked and unpacked.</summary>
    private byte[] Open(byte[] block)
    {
        var head = new ByteReader(block);
        var length = head.UInt32();
        var crc = head.UInt32();
        if (length != block.Length - 4 || CellFile.Crc(block.AsSpan(8)) != crc)
            throw Damaged("has a damaged block");
        var codec = head.Byte();
        var plain = head.UInt32();
        var stored = block.AsSpan(CellFile.BlockHeaderBytes);
        if (plain > CellFile.BlockBytesMax || (codec == CellFile.Plain && plain != stored.Length))
            throw Damaged("has a damaged block");
        if (codec == CellFile.Plain)
            return stored.ToArray();

        var content = new byte[plain];
        if (codec != CellFile.Brotli || !BrotliDecoder.TryDecompress(stored, content, out var written) || written != plain)
            throw Damaged("has a damaged block");
        return content;
    }

    private static string[] ReadNames(byte[] bytes)
    {
        var input = new ByteReader(bytes);
        var names = new string[Math.Min((int)input.Varint(), bytes.Length)];
        for (var i = 0; i < names.Length; i++)
            names[i] = Encoding.UTF8.GetString(input.Bytes((int)input.Varint()));
        return names;
    }

    private byte[] Bytes(long offset, int count)
    {
        var bytes = new byte[count];
        Fill(bytes, offset);
        return bytes;
    }

    private void Fill(Span<byte> bytes, long offset)
    {
        while (!bytes.IsEmpty)
        {
            var read = offset < 0 ? 0 : RandomAccess.Read(_file, bytes, offset);
            if (read == 0)
                throw Damaged("ends too soon");
            bytes = bytes[read..];
            offset += read;
        }
    }

    private InvalidDataException Damaged(string what) => new($"The roll-up {_path} {what}.");
}
