using System.Globalization;
using System.Text;

namespace Millrace.QueryBench;

/// <summary>Files of events: gas meters of about 500 bytes, and short readings of many devices. The same for the same seed.</summary>
internal static class Samples
{
    private static readonly DateTime Start = new(2026, 3, 2, 8, 0, 0, DateTimeKind.Utc);

    public static void WriteMeters(string path, int count)
    {
        var random = new Random(1);
        using var file = new StreamWriter(path, append: false, new UTF8Encoding(false), 1 << 20);
        for (var index = 0; index < count; index++)
        {
            var left = Math.Round(random.NextDouble() * 100, 3);
            var time = Start.AddMilliseconds(index);
            file.Write(string.Create(CultureInfo.InvariantCulture,
                $$$"""
                {"originData":{"app":{"moteeui":"{{{0xffff000000000000UL + (ulong)(index % 100000):x16}}}","dir":"up","userdata":{"seqno":{{{index}}},"port":10,"payload":"AgECAwQFBgcICQoLDA0ODw==","motetx":{"freq":470.3,"modu":"LORA","datr":"SF12BW125","codr":"4/5","adr":true}},"gwrx":[{"eui":"00000000ac16{{{index % 64:x4}}}","time":"{{{time:yyyy-MM-ddTHH:mm:ss.fffZ}}}","chan":{{{index % 8}}},"rfch":0,"rssi":-{{{60 + index % 40}}},"lsnr":{{{7.5 - index % 10}}}}]}},"userData":{"type":2,"code":1,"bought":{{{Math.Round(left + 30, 2)}}},"left":{{{left}}},"used":30.25,"status":{{{index % 2048}}},"version":"v1.0","time":"{{{time:yyyy-MM-ddTHH:mm:ss.fffZ}}}"}}
                """));
            file.Write('\n');
        }
    }

    public static void WriteReadings(string path, int count, int devices, int eventsPerMinute)
    {
        var random = new Random(2);
        using var file = new StreamWriter(path, append: false, new UTF8Encoding(false), 1 << 20);
        for (var index = 0; index < count; index++)
        {
            var time = Start.AddTicks(index * (TimeSpan.TicksPerMinute / eventsPerMinute) + 1);
            var device = random.Next(devices);
            file.Write(string.Create(CultureInfo.InvariantCulture,
                $$"""{"id":"meter-{{device:d6}}","value":{{Math.Round(random.NextDouble() * 1000, 2)}},"ts":"{{time:yyyy-MM-ddTHH:mm:ss.ffffffZ}}"}"""));
            file.Write('\n');
        }
    }
}
