namespace Millrace.StreamSql.State;

/// <summary>
/// Hashes of the keys of rows on their way: a key's slot is asked for when the row is announced, and its record, which only the
/// slot tells of, a few rows later.
/// </summary>
internal sealed class AnnouncedKeys
{
    /// <summary>So many rows after a key's slot was asked for, its record is.</summary>
    private const int RecordAfter = 4;

    private readonly uint[] hashes = new uint[RecordAfter];
    private int next;

    /// <summary>Takes the newest row's; returns that of the row whose slot should be there by now.</summary>
    public uint Next(uint hash)
    {
        var arrived = hashes[next];
        hashes[next] = hash;
        next = (next + 1) & (RecordAfter - 1);
        return arrived;
    }
}
