using System.Buffers;

namespace Millrace.Parquet.Encodings;

/// <summary>
/// Arrays that grow and come from the shared pool: a server writes a file every few seconds, and fresh memory for each, zeroed and touched
/// for the first time, cost more than the encoding. What is not released is left to the collector.
/// </summary>
internal static class PooledArray
{
    private const int ElementsMin = 1024;

    /// <summary>Makes room for <paramref name="count"/> elements behind the <paramref name="used"/> ones, which are kept.</summary>
    public static void Reserve<T>(ref T[] array, int used, int count)
        where T : unmanaged
    {
        if (array.Length - used < count)
            Grow(ref array, used, count);
    }

    /// <summary>Gives the array back; it must not be used any more.</summary>
    public static void Release<T>(ref T[] array)
        where T : unmanaged
    {
        if (array.Length > 0)
            ArrayPool<T>.Shared.Return(array);
        array = [];
    }

    private static void Grow<T>(ref T[] array, int used, int count)
        where T : unmanaged
    {
        var wanted = Math.Max(Math.Max(array.Length * 2L, ElementsMin), used + (long)count);
        var grown = ArrayPool<T>.Shared.Rent((int)Math.Min(wanted, Array.MaxLength));
        array.AsSpan(0, used).CopyTo(grown);
        Release(ref array);
        array = grown;
    }
}
