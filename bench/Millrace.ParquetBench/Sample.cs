namespace Millrace.ParquetBench;

/// <summary>
/// A day of gas meters: a reading each 30 s with a jitter of up to 400 ms in whole milliseconds, volumes in thousandths of a cubic
/// metre, sorted by device and time.
/// </summary>
internal sealed class Sample
{
    private const long Midnight = 1_772_323_200_000;
    private const int PeriodMs = 30_000;
    private const int JitterMs = 400;

    public Sample(int devices, int perDevice, int seed)
    {
        var random = new Random(seed);
        Devices = new byte[devices][];
        PerDevice = perDevice;
        Times = new long[devices * perDevice];
        Bought = new long[Times.Length];
        Left = new long[Times.Length];
        Used = new long[Times.Length];
        Status = new long[Times.Length];
        for (var device = 0; device < devices; device++)
        {
            Devices[device] = System.Text.Encoding.ASCII.GetBytes($"fffe02010{device:x7}");
            Fill(device, random);
        }
    }

    public byte[][] Devices { get; }

    public int PerDevice { get; }

    public int Rows => Times.Length;

    /// <summary>Milliseconds since 1970.</summary>
    public long[] Times { get; }

    public long[] Bought { get; }

    public long[] Left { get; }

    public long[] Used { get; }

    public long[] Status { get; }

    private void Fill(int device, Random random)
    {
        var phase = random.Next(PeriodMs);
        long bought = 1_000_000 + random.Next(50) * 10_000;
        long used = random.Next(900_000);
        var burning = 0;
        for (var i = 0; i < PerDevice; i++)
        {
            // A boiler runs for some minutes, then rests; the register stands still meanwhile. How often is chosen so that
            // DuckDB's best files come out at the sizes of other samples of such meters.
            if (burning == 0 && random.Next(140) == 0)
                burning = random.Next(2, 40);
            if (burning > 0)
            {
                used += 8 + random.Next(6);
                burning--;
            }

            if (bought - used < 50_000)
                bought += 500_000;

            var row = device * PerDevice + i;
            Times[row] = Midnight + phase + (long)i * PeriodMs + random.Next(-JitterMs, JitterMs + 1);
            Bought[row] = bought;
            Used[row] = used;
            Left[row] = bought - used;
            Status[row] = random.Next(5000) == 0 ? 3 : 1;
        }
    }
}
