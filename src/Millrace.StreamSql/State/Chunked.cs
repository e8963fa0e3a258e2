using System.Runtime.CompilerServices;

namespace Millrace.StreamSql.State;

/// <summary>A growing array of structs that never copies what it holds: grows by chunks, so at most one chunk is unused.</summary>
internal sealed class Chunked<T>(int stride = 1)
{
    private const int ChunkBits = 10;
    private const int ChunkMask = (1 << ChunkBits) - 1;

    private readonly List<T[]> chunks = [];

    public long HeldBytes => (long)chunks.Count * (stride << ChunkBits) * Unsafe.SizeOf<T>();

    /// <summary>Makes room for entry <paramref name="entry"/> and clears it.</summary>
    public void Add(int entry)
    {
        while ((entry >> ChunkBits) >= chunks.Count)
            chunks.Add(new T[stride << ChunkBits]);
        At(entry).Clear();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public Span<T> At(int entry) => chunks[entry >> ChunkBits].AsSpan((entry & ChunkMask) * stride, stride);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public ref T One(int entry) => ref chunks[entry >> ChunkBits][entry & ChunkMask];
}
