namespace Millrace.Commands.Simulate;

/// <summary>The finaliser of SplitMix64: a well-mixed number from any counter, the same on every machine.</summary>
internal static class SplitMix
{
    public static ulong Mix(ulong x)
    {
        x += 0x9E3779B97F4A7C15UL;
        x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9UL;
        x = (x ^ (x >> 27)) * 0x94D049BB133111EBUL;
        return x ^ (x >> 31);
    }
}
