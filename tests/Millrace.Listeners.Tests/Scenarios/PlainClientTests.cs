using System.Diagnostics;
using System.Globalization;
using System.Text.RegularExpressions;
using Millrace.Listeners.Tests.Tcp;
using Millrace.Listeners.Tests.Udp;

namespace Millrace.Listeners.Tests.Scenarios;

/// <summary>The plain logging server's clients: a few small boards that come and go and just print lines.</summary>
public sealed partial class PlainClientTests
{
    [Fact]
    public async Task Four_boards_log_a_week_of_hourly_temperatures_at_once()
    {
        const int Hours = 7 * 24;
        string[] rooms = ["nodemcu-1", "nodemcu-2", "feather-1", "feather-2"];
        await using var it = await TcpHarness.OpenAsync();

        await Task.WhenAll(rooms.Select(async (room, index) =>
        {
            // Two keep their connection, two connect anew each day; all print a value in pieces, as boards do.
            var board = await it.ConnectAsync();
            for (var hour = 0; hour < Hours; hour++)
            {
                if (index % 2 == 1 && hour % 24 == 0 && hour > 0)
                {
                    board.EndSending();
                    board = await it.ConnectAsync();
                }

                await board.SendAsync(room);
                await board.SendAsync(":");
                await board.SendAsync($"{Temperature(index, hour).ToString("F2", CultureInfo.InvariantCulture)}\r\n");
            }
        }));

        await it.SettledAsync(rooms.Length * Hours);
        Assert.Equal((rooms.Length * Hours, 0, 0), (it.Ledger.Stored, it.Ledger.RejectedTotal, it.Ledger.DroppedTotal));
        for (var index = 0; index < rooms.Length; index++)
        {
            var expected = Enumerable.Range(0, Hours).Select(h => Temperature(index, h).ToString("F2", CultureInfo.InvariantCulture)).Order();
            Assert.Equal(expected, it.Stored.Where(r => r.Id == rooms[index]).Select(r => r.Payload).Order());
        }
    }

    [Fact]
    public async Task Boards_that_name_nothing_share_the_device_of_their_address()
    {
        await using var it = await TcpHarness.OpenAsync();
        for (var i = 0; i < 4; i++)
        {
            var board = await it.ConnectAsync();
            await board.SendAsync($"Temperature is {20 + i} degrees");
            board.EndSending();
            await board.IsClosedAsync();
        }

        await it.SettledAsync(4);
        Assert.All(it.Stored, r => Assert.Equal("tcp-127.0.0.1", r.Id));
        Assert.Equal(Enumerable.Range(20, 4).Select(t => $"Temperature is {t} degrees"), it.Stored.Select(r => r.Payload));
    }

    /// <summary>The Python programs of docs/devices.md, as they stand there.</summary>
    [Fact]
    public async Task The_documented_programs_work()
    {
        Assert.SkipUnless(Python() is not null, "python3 is not installed");
        await using var tcp = await TcpHarness.OpenAsync();
        await using var udp = await UdpHarness.OpenAsync();
        var programs = Programs();
        Assert.Equal(3, programs.Count);

        foreach (var (protocol, source) in programs)
            await RunAsync(source, protocol == "udp" ? udp.Port : tcp.Port);
        await udp.SettledAsync(3);
        await tcp.SettledAsync(6);

        Assert.Equal(["20.5", "20.6", "20.4"], udp.Stored.Select(r => r.Payload));
        Assert.Equal(
            ["20.5", "20.6", "21.5", "21.6", "Hello from room 3", "{\"value\":20.4,\"time\":\"2026-01-15T12:00:00Z\"}"],
            tcp.Stored.Select(r => r.Payload).Order(StringComparer.Ordinal));
        Assert.Equal((0, 0), (tcp.Ledger.RejectedTotal, udp.Ledger.RejectedTotal));
    }

    private static double Temperature(int room, int hour) => 18 + room + (5 * Math.Sin(hour * Math.PI / 12));

    private static List<(string Protocol, string Source)> Programs() =>
        [.. ProgramPattern().Matches(File.ReadAllText(Path.Combine(RepositoryRoot(), "docs", "devices.md")))
            .Select(m => (m.Groups["protocol"].Value, m.Groups["source"].Value))];

    private static string RepositoryRoot()
    {
        var folder = AppContext.BaseDirectory;
        while (!File.Exists(Path.Combine(folder, "Millrace.slnx")))
            folder = Path.GetDirectoryName(folder) ?? throw new InvalidOperationException("The tests run outside the repository.");
        return folder;
    }

    private static async Task RunAsync(string source, int port)
    {
        using var process = Process.Start(new ProcessStartInfo(Python()!, ["-c", source, "127.0.0.1", port.ToString(CultureInfo.InvariantCulture)])
        {
            RedirectStandardError = true,
        })!;
        var errors = await process.StandardError.ReadToEndAsync();
        await process.WaitForExitAsync();
        Assert.True(process.ExitCode == 0, errors);
    }

    private static string? Python() =>
        (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator).Select(p => Path.Combine(p, "python3")).FirstOrDefault(File.Exists);

    [GeneratedRegex("<!-- run: (?<protocol>\\w+) -->\n```python\n(?<source>.*?)```", RegexOptions.Singleline)]
    private static partial Regex ProgramPattern();
}
