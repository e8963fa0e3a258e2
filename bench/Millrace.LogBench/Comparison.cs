namespace Millrace.LogBench;

/// <summary>The log's cases, each next to the raw disk with writes of the size the log made.</summary>
internal static class Comparison
{
    private const int Rounds = 3;

    // Readings per batch, appenders, payload bytes.
    private static readonly (string Name, int Appenders, int Readings, int Payload)[] Cases =
        [("single readings, 64 appenders", 64, 1, 200), ("batches of 500, 16 appenders", 16, 500, 200), ("batches of 500 short texts", 16, 500, 8)];

    public static async Task RunAsync(string work, TimeSpan duration)
    {
        foreach (var (name, appenders, readings, payload) in Cases)
        {
            List<Outcome> outcomes = [];
            List<double> raw = [];
            for (var round = 0; round < Rounds; round++)
            {
                var folder = Path.Combine(work, $"log-{round}");
                outcomes.Add(await Load.RunAsync(folder, appenders, readings, payload, duration));
                Directory.Delete(folder, recursive: true);

                // The bytes of one round of all appenders, at most a full group: what one commit of the log holds.
                var groupBytes = Math.Min(1 << 20, appenders * readings * (payload + 29) / 2);
                raw.Add(Load.RawMegabytesPerSecond(Path.Combine(work, "raw"), groupBytes, preallocate: false, duration));
            }

            var middle = outcomes.OrderBy(o => o.MegabytesPerSecond).ElementAt(Rounds / 2);
            var rawMiddle = raw.Order().ElementAt(Rounds / 2);
            Console.WriteLine(
                $"{name}: {middle.ReadingsPerSecond:N0} readings/s, {middle.MegabytesPerSecond:N1} MB/s, p50 {middle.P50Ms:N2} ms, p99 {middle.P99Ms:N2} ms, "
                + $"max {middle.MaxMs:N1} ms, {middle.CpuSecondsPerMillion:N2} CPU-s per million, {middle.BytesAllocatedPerReading:N1} B allocated per reading");
            Console.WriteLine($"  raw write + fdatasync of the same bytes: {rawMiddle:N1} MB/s; ratio {middle.MegabytesPerSecond / rawMiddle:N2}");
        }

        foreach (var writeBytes in new[] { 4 << 10, 64 << 10, 1 << 20 })
        {
            List<double> growing = [], allocated = [];
            for (var round = 0; round < Rounds; round++)
            {
                growing.Add(Load.RawMegabytesPerSecond(Path.Combine(work, "raw"), writeBytes, preallocate: false, duration));
                allocated.Add(Load.RawMegabytesPerSecond(Path.Combine(work, "raw"), writeBytes, preallocate: true, duration));
            }

            var (g, a) = (growing.Order().ElementAt(Rounds / 2), allocated.Order().ElementAt(Rounds / 2));
            Console.WriteLine($"raw {writeBytes >> 10} KB writes: growing {g:N1} MB/s, preallocated {a:N1} MB/s; ratio {a / g:N2}");
        }
    }
}
