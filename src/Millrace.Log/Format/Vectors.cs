using System.Buffers.Binary;
using Millrace.Core;

namespace Millrace.Log.Format;

/// <summary>Position vectors as bytes: 8 per partition.</summary>
internal static class Vectors
{
    public static void Write(PositionVector vector, Span<byte> target)
    {
        for (var p = 0; p < vector.Count; p++)
            BinaryPrimitives.WriteInt64LittleEndian(target[(8 * p)..], vector[p]);
    }

    public static PositionVector Read(ReadOnlySpan<byte> bytes, int partitions)
    {
        var vector = new PositionVector(partitions);
        for (var p = 0; p < partitions; p++)
            vector[p] = BinaryPrimitives.ReadInt64LittleEndian(bytes[(8 * p)..]);
        return vector;
    }

    /// <summary>Whether every sequence of <paramref name="a"/> is at or below that of <paramref name="b"/>.</summary>
    public static bool IsAtOrBefore(this PositionVector a, PositionVector b)
    {
        for (var p = 0; p < a.Count; p++)
        {
            if (a[p] > b[p])
                return false;
        }

        return true;
    }
}
