using System.Numerics;
using System.Runtime.InteropServices;

namespace Millrace.Log.Format;

/// <summary>CRC-32C by the processor's instruction. Hot.</summary>
internal static class Crc32C
{
    /// <summary>The state before the first byte; see <see cref="Continue"/> and <see cref="Finish"/>.</summary>
    public const uint Start = 0xFFFFFFFF;

    public static uint Of(ReadOnlySpan<byte> bytes) => Finish(Continue(Start, bytes));

    public static uint Continue(uint state, ReadOnlySpan<byte> bytes)
    {
        while (bytes.Length >= 8)
        {
            state = BitOperations.Crc32C(state, MemoryMarshal.Read<ulong>(bytes));
            bytes = bytes[8..];
        }

        foreach (var b in bytes)
            state = BitOperations.Crc32C(state, b);
        return state;
    }

    public static uint Finish(uint state) => ~state;
}
