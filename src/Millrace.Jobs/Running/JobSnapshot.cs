using System.Buffers.Binary;
using System.Numerics;
using System.Text.Json;
using System.Text.Json.Serialization;
using Millrace.Core;
using Millrace.Outputs;
using Millrace.StreamSql;

namespace Millrace.Jobs.Running;

/// <summary>What a snapshot says besides the query's state.</summary>
/// <param name="Version">Version of the job that wrote it.</param>
/// <param name="Position">Per partition the next sequence to read.</param>
/// <param name="LastArrival">Every reading up to this arrival is in the state, µs.</param>
/// <param name="EmitFrom">Rows of readings before this arrival are warm-up and not emitted, µs; the past when warm-up is over.</param>
/// <param name="ExactFrom">From when on results are exact, µs.</param>
/// <param name="FirstNumbers">Per output the engine's row number that is row 0 of this version; empty while warming up.</param>
/// <param name="References">Per reference input the file that holds the rows in use.</param>
internal sealed record JobSnapshotHead(
    int Version, string Position, long LastArrival, long EmitFrom, long ExactFrom, IReadOnlyList<long> FirstNumbers, long SavedAt,
    IReadOnlyDictionary<string, string> References)
{
    /// <summary>No row was emitted yet: what was read came before the first reading that counts.</summary>
    [JsonIgnore]
    public bool IsWarmUp => FirstNumbers.Count == 0;
}

/// <summary>
/// A job's state on disk. Two files are written in turn; the newest readable one counts. Format: <c>MLRJOB01</c>, u32 length of the
/// head, the head as JSON, the query's state to the end but four bytes, u32 CRC-32C of everything before; little-endian.
/// </summary>
internal sealed class JobSnapshot(string folder)
{
    private static readonly byte[] Magic = "MLRJOB01"u8.ToArray();

    private int _next;

    /// <summary>Bytes of the newest snapshot.</summary>
    public long Bytes { get; private set; }

    public void Save(JobSnapshotHead head, QueryExecution execution)
    {
        var buffer = new MemoryStream();
        var json = JsonSerializer.SerializeToUtf8Bytes(head);
        buffer.Write(Magic);
        Span<byte> number = stackalloc byte[4];
        BinaryPrimitives.WriteInt32LittleEndian(number, json.Length);
        buffer.Write(number);
        buffer.Write(json);
        execution.Save(buffer);
        var written = buffer.GetBuffer().AsSpan(0, (int)buffer.Length);
        BinaryPrimitives.WriteUInt32LittleEndian(number, Checksum(written));
        buffer.Write(number);
        AtomicFile.Write(PathOf(_next), buffer.GetBuffer().AsSpan(0, (int)buffer.Length));
        Bytes = buffer.Length;
        _next = 1 - _next;
    }

    /// <summary>The newest readable snapshot, or null when there is none.</summary>
    /// <param name="version">Only of this version; null: of any.</param>
    public (JobSnapshotHead Head, Stream State)? Load(int? version)
    {
        (JobSnapshotHead Head, Stream State)? newest = null;
        for (var i = 0; i < 2; i++)
        {
            if (TryRead(PathOf(i), out var head, out var state) && (version is null || head.Version == version)
                && (newest is null || head.SavedAt > newest.Value.Head.SavedAt || (head.SavedAt == newest.Value.Head.SavedAt && head.LastArrival > newest.Value.Head.LastArrival)))
            {
                newest = (head, state);
                _next = 1 - i;
            }
        }

        return newest;
    }

    private string PathOf(int index) => Path.Combine(folder, $"snapshot-{index + 1}");

    private static bool TryRead(string path, out JobSnapshotHead head, out Stream state)
    {
        (head, state) = (null!, Stream.Null);
        if (!File.Exists(path))
            return false;
        var bytes = File.ReadAllBytes(path);
        if (bytes.Length < Magic.Length + 8 || !bytes.AsSpan().StartsWith(Magic)
            || Checksum(bytes.AsSpan(..^4)) != BinaryPrimitives.ReadUInt32LittleEndian(bytes.AsSpan(bytes.Length - 4)))
        {
            return false;
        }

        var length = BinaryPrimitives.ReadInt32LittleEndian(bytes.AsSpan(Magic.Length));
        var start = Magic.Length + 4;
        head = JsonSerializer.Deserialize<JobSnapshotHead>(bytes.AsSpan(start, length))!;
        state = new MemoryStream(bytes, start + length, bytes.Length - start - length - 4, writable: false);
        return true;
    }

    private static uint Checksum(ReadOnlySpan<byte> bytes)
    {
        var crc = uint.MaxValue;
        while (bytes.Length >= 8)
        {
            crc = BitOperations.Crc32C(crc, BinaryPrimitives.ReadUInt64LittleEndian(bytes));
            bytes = bytes[8..];
        }

        foreach (var b in bytes)
            crc = BitOperations.Crc32C(crc, b);
        return ~crc;
    }
}
