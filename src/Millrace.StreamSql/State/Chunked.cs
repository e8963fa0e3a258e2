using System.Runtime.CompilerServices;

namespace Millrace.StreamSql.State;

/// <summary>
/// A growing array of structs: grows by chunks, so at most one chunk is unused. The first chunk starts with a few entries and
/// doubles, because there may be many small arrays: one a session, one a DISTINCT. Spans are valid until the next Add.
/// </summary>
internal sealed class Chunked<T>(int stride = 1)
{
    private const int ChunkBits = 10;
    private const int FirstEntries = 4;
    private const int ChunkMask = (1 << ChunkBits) - 1;

    private readonly List<T[]> chunks = [];

    public long HeldBytes => chunks.Count == 0 ? 0 : (chunks[0].Length + ((chunks.Count - 1L) * (stride << ChunkBits))) * Unsafe.SizeOf<T>();

    /// <summary>Makes room for an entry, the one behind the last or an earlier one, and clears it.</summary>
    public void Add(int entry)
    {
        var chunk = entry >> ChunkBits;
        if (chunk == chunks.Count)
        {
            chunks.Add(new T[stride * (chunk == 0 ? FirstEntries : 1 << ChunkBits)]);
        }
        else if (chunk == 0 && (entry + 1) * stride > chunks[0].Length)
        {
            var larger = chunks[0];
            Array.Resize(ref larger, larger.Length * 2);
            chunks[0] = larger;
        }

        At(entry).Clear();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public Span<T> At(int entry) => chunks[entry >> ChunkBits].AsSpan((entry & ChunkMask) * stride, stride);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public ref T One(int entry) => ref chunks[entry >> ChunkBits][entry & ChunkMask];
}
