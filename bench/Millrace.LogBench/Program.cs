using Millrace.LogBench;

// Group commit beside raw sequential write + fdatasync of the same bytes, interleaved in one run; and how fast a log opens.
//   dotnet run --project bench/Millrace.LogBench -c Release -- [folder] [seconds per measurement] [GB for opening, 0 = not]

var folder = args.Length > 0 ? args[0] : Path.GetTempPath();
var seconds = args.Length > 1 ? double.Parse(args[1]) : 3;
var openGigabytes = args.Length > 2 ? double.Parse(args[2]) : 0;
var work = Directory.CreateDirectory(Path.Combine(folder, $"millrace-logbench-{Environment.ProcessId}")).FullName;
try
{
    Console.WriteLine($"{Environment.ProcessorCount} cores, {work}, {seconds} s per measurement, 3 rounds, medians");
    await Comparison.RunAsync(work, TimeSpan.FromSeconds(seconds));
    if (openGigabytes > 0)
        await Opening.RunAsync(work, openGigabytes);
}
finally
{
    Directory.Delete(work, recursive: true);
}
