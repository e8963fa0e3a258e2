using System.Buffers.Binary;
using System.Numerics;
using System.Runtime.InteropServices;
using Millrace.Core;

namespace Millrace.Processing.Latest;

/// <summary>The bytes of a latest-value snapshot: docs/formats/latest-snapshot.md.</summary>
internal static unsafe class SnapshotFile
{
    public const int HeaderBytes = 40;
    public const int ChunkHeaderBytes = 12;
    public const int EntryHeaderBytes = 25;
    public const ushort Version = 1;

    private const uint Magic = 0x564C524D;                    // "MRLV"
    private const int ChunkBytes = 256 << 10;

    /// <summary>A chunk is closed when it is full, and holds at least one entry however long.</summary>
    private const int ChunkBytesMax = ChunkBytes + EntryHeaderBytes + ReadingRecord.LengthMax;

    /// <summary>Writes one shard. The position is the caller's, taken before the walk.</summary>
    /// <returns>False when the shard grew during the walk: start over.</returns>
    public static bool Write(Stream file, DeviceShard shard, int partition, int partitions, long position, CancellationToken cancel)
    {
        WriteHeader(file, partition, partitions, position, shard.Entries);
        var chunk = new byte[ChunkHeaderBytes + ChunkBytes];
        var (used, inChunk, total) = (ChunkHeaderBytes, 0u, 0u);
        List<byte[]> full = [];
        var walked = DeviceTable.Walk(shard, Take, cancel, Spill);
        if (!walked)
            return false;
        Close();
        Spill();
        WriteChunk(file, new byte[ChunkHeaderBytes], 0, total);
        return true;

        // Runs under the shard's lock: memory only; the disk is for Spill, after the lock.
        void Take(EntryHead* entry)
        {
            if ((entry->State & EntryState.Blocked) != 0)
                return;
            var record = DeviceShard.RecordOf(entry);
            var hasReading = (entry->State & EntryState.HasReading) != 0;
            var length = EntryHeaderBytes + record.Length;
            if (chunk.Length - used < length)
            {
                Close();
                chunk = new byte[Math.Max(ChunkHeaderBytes + ChunkBytes, ChunkHeaderBytes + length)];
            }

            var target = chunk.AsSpan(used, length);
            BinaryPrimitives.WriteInt64LittleEndian(target, entry->Sequence);
            BinaryPrimitives.WriteInt64LittleEndian(target[8..], entry->ReceivedAt);
            BinaryPrimitives.WriteInt64LittleEndian(target[16..], entry->LastSeenAt);
            target[24] = hasReading ? (byte)1 : (byte)0;
            record.CopyTo(target[EntryHeaderBytes..]);
            used += length;
            inChunk++;
            total++;
        }

        void Close()
        {
            if (inChunk == 0)
                return;
            Seal(chunk, used - ChunkHeaderBytes, inChunk);
            full.Add(used == chunk.Length ? chunk : chunk[..used]);
            (used, inChunk) = (ChunkHeaderBytes, 0);
        }

        void Spill()
        {
            foreach (var bytes in full)
                file.Write(bytes);
            full.Clear();
        }
    }

    /// <summary>Reads a file into the shard.</summary>
    /// <returns>The position to read the log from, or null when the file is torn, damaged or of another log. What was
    /// taken in by then are true readings and does no harm.</returns>
    public static long? Read(Stream file, DeviceShard shard, int partition, int partitions, DeviceTable table)
    {
        Span<byte> header = stackalloc byte[HeaderBytes];
        if (file.ReadAtLeast(header, HeaderBytes, throwOnEndOfStream: false) < HeaderBytes || !CheckHeader(header, partition, partitions))
            return null;
        var position = BinaryPrimitives.ReadInt64LittleEndian(header[16..]);
        shard.Reserve((int)Math.Clamp(BinaryPrimitives.ReadInt64LittleEndian(header[24..]), 0, file.Length / (EntryHeaderBytes + ReadingRecord.HeaderBytes)));

        Span<byte> chunkHeader = stackalloc byte[ChunkHeaderBytes];
        var buffer = new byte[ChunkBytes];
        var total = 0u;
        while (true)
        {
            if (file.ReadAtLeast(chunkHeader, ChunkHeaderBytes, throwOnEndOfStream: false) < ChunkHeaderBytes)
                return null;
            var length = BinaryPrimitives.ReadInt32LittleEndian(chunkHeader);
            var count = BinaryPrimitives.ReadUInt32LittleEndian(chunkHeader[4..]);
            if (length is < 0 or > ChunkBytesMax)
                return null;
            if (buffer.Length < length)
                buffer = new byte[length];
            var entries = buffer.AsSpan(0, length);
            if (file.ReadAtLeast(entries, length, throwOnEndOfStream: false) < length
                || Crc(Crc(uint.MaxValue, chunkHeader[..8]), entries) != ~BinaryPrimitives.ReadUInt32LittleEndian(chunkHeader[8..]))
                return null;
            if (length == 0)
                return count == total ? position : null;
            if (!Restore(entries, count, shard, table))
                return null;
            total += count;
        }
    }

    private static bool Restore(ReadOnlySpan<byte> entries, uint count, DeviceShard shard, DeviceTable table)
    {
        lock (shard.Gate)
        {
            for (; count > 0; count--)
            {
                if (entries.Length < EntryHeaderBytes || !ReadingRecord.TryMeasure(entries[EntryHeaderBytes..], out var length))
                    return false;
                var record = new ReadingRecord(
                    entries.Slice(EntryHeaderBytes, length), BinaryPrimitives.ReadInt64LittleEndian(entries), BinaryPrimitives.ReadInt64LittleEndian(entries[8..]));
                shard.Restore(
                    in record, BinaryPrimitives.ReadInt64LittleEndian(entries[16..]), entries[24] == 1 ? EntryState.HasReading : EntryState.None, table);
                entries = entries[(EntryHeaderBytes + length)..];
            }
        }

        return entries.IsEmpty;
    }

    private static void WriteHeader(Stream file, int partition, int partitions, long position, long entries)
    {
        Span<byte> header = stackalloc byte[HeaderBytes];
        header.Clear();
        BinaryPrimitives.WriteUInt32LittleEndian(header, Magic);
        BinaryPrimitives.WriteUInt16LittleEndian(header[4..], Version);
        BinaryPrimitives.WriteUInt16LittleEndian(header[6..], HeaderBytes);
        BinaryPrimitives.WriteInt32LittleEndian(header[8..], partition);
        BinaryPrimitives.WriteInt32LittleEndian(header[12..], partitions);
        BinaryPrimitives.WriteInt64LittleEndian(header[16..], position);
        BinaryPrimitives.WriteInt64LittleEndian(header[24..], entries);
        BinaryPrimitives.WriteUInt32LittleEndian(header[36..], ~Crc(uint.MaxValue, header[..36]));
        file.Write(header);
    }

    private static bool CheckHeader(ReadOnlySpan<byte> header, int partition, int partitions) =>
        BinaryPrimitives.ReadUInt32LittleEndian(header) == Magic
        && BinaryPrimitives.ReadUInt16LittleEndian(header[4..]) == Version
        && BinaryPrimitives.ReadUInt16LittleEndian(header[6..]) == HeaderBytes
        && BinaryPrimitives.ReadInt32LittleEndian(header[8..]) == partition
        && BinaryPrimitives.ReadInt32LittleEndian(header[12..]) == partitions
        && BinaryPrimitives.ReadUInt32LittleEndian(header[36..]) == ~Crc(uint.MaxValue, header[..36]);

    private static void WriteChunk(Stream file, byte[] chunk, int length, uint count)
    {
        Seal(chunk, length, count);
        file.Write(chunk, 0, ChunkHeaderBytes + length);
    }

    private static void Seal(byte[] chunk, int length, uint count)
    {
        BinaryPrimitives.WriteInt32LittleEndian(chunk, length);
        BinaryPrimitives.WriteUInt32LittleEndian(chunk.AsSpan(4), count);
        var crc = Crc(Crc(uint.MaxValue, chunk.AsSpan(0, 8)), chunk.AsSpan(ChunkHeaderBytes, length));
        BinaryPrimitives.WriteUInt32LittleEndian(chunk.AsSpan(8), ~crc);
    }

    /// <summary>CRC-32C without the final inversion; the processor's own instruction where it has one.</summary>
    private static uint Crc(uint crc, ReadOnlySpan<byte> bytes)
    {
        while (bytes.Length >= 8)
        {
            crc = BitOperations.Crc32C(crc, MemoryMarshal.Read<ulong>(bytes));
            bytes = bytes[8..];
        }

        foreach (var b in bytes)
            crc = BitOperations.Crc32C(crc, b);
        return crc;
    }
}
