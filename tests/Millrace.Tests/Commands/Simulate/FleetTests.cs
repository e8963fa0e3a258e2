using System.Buffers.Binary;
using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;
using FsCheck;
using FsCheck.Fluent;
using Millrace.Commands.Simulate;

namespace Millrace.Tests.Commands.Simulate;

public class FleetTests
{
    private const long SomeTime = 1_700_000_000_000;

    private static SimulationOptions Options(PayloadKind payload, ulong seed = 7, int devices = 10) => new()
    {
        Protocol = SimulatedProtocol.Tcp,
        Host = "",
        Port = 1,
        Devices = devices,
        Payload = payload,
        Seed = seed,
    };

    private static string Next(Fleet fleet, int device)
    {
        var bytes = new byte[Fleet.ReadingBytesMax];
        return Encoding.UTF8.GetString(bytes, 0, fleet.WriteNext(device, SomeTime, bytes, out _));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void The_same_seed_sends_the_same_readings_and_another_seed_others(int kind)
    {
        var options = Options((PayloadKind)kind);
        var first = Fleet.Create(options);
        var second = Fleet.Create(options);
        var other = Fleet.Create(options with { Seed = 8 });

        var readings = Enumerable.Range(0, 50).Select(i => Next(first, i % 10)).ToList();

        Assert.Equal(readings, Enumerable.Range(0, 50).Select(i => Next(second, i % 10)));
        Assert.NotEqual(readings, Enumerable.Range(0, 50).Select(i => Next(other, i % 10)));
    }

    [Fact]
    public void A_devices_readings_do_not_depend_on_other_devices()
    {
        var alone = Fleet.Create(Options(PayloadKind.Text));
        var among = Fleet.Create(Options(PayloadKind.Text));

        var expected = Enumerable.Range(0, 5).Select(_ => Next(alone, 3)).ToList();

        Assert.Equal(expected, Enumerable.Range(0, 5).Select(_ =>
        {
            Next(among, 2);
            return Next(among, 3);
        }));
    }

    [Fact]
    public void Registers_only_grow_and_what_was_bought_is_what_is_left_and_used() =>
        Prop.ForAll<ulong>(seed =>
        {
            var fleet = Fleet.Create(Options(PayloadKind.Json, seed, devices: 3));
            var (used, bought) = (0m, 0m);
            for (var i = 0; i < 300; i++)
            {
                using var reading = JsonDocument.Parse(Next(fleet, 1));
                var now = reading.RootElement.GetProperty("used").GetDecimal();
                var paid = reading.RootElement.GetProperty("bought").GetDecimal();
                if (now <= used || paid < bought || paid != now + reading.RootElement.GetProperty("left").GetDecimal())
                    return false;
                (used, bought) = (now, paid);
            }

            return true;
        }).QuickCheckThrowOnFailure();

    [Fact]
    public void A_json_reading_has_430_bytes_and_numbers_itself()
    {
        var fleet = Fleet.Create(Options(PayloadKind.Json, devices: 1_000_000));
        var bytes = new byte[Fleet.ReadingBytesMax];

        foreach (var device in new[] { 0, 999_999, 77 })
        {
            Assert.Equal(430, fleet.WriteNext(device, SomeTime, bytes, out var mark));
            using var reading = JsonDocument.Parse(bytes.AsMemory(0, 430));
            Assert.Equal(fleet.Id(device), reading.RootElement.GetProperty("id").GetString());
            Assert.Equal(1, mark);
            Assert.Equal(1, reading.RootElement.GetProperty("n").GetInt32());
        }
    }

    [Fact]
    public void A_text_reading_is_the_register_and_its_mark_the_thousandths()
    {
        var fleet = Fleet.Create(Options(PayloadKind.Text));
        var bytes = new byte[Fleet.ReadingBytesMax];

        var text = Encoding.UTF8.GetString(bytes, 0, fleet.WriteNext(4, SomeTime, bytes, out var mark));

        Assert.Matches("^meter-000004:[0-9]+\\.[0-9]{3}$", text);
        Assert.Equal(mark, decimal.Parse(text.AsSpan(13)) * 1000);
    }

    [Fact]
    public void The_preset_has_the_125_meters_and_values_from_10_to_40()
    {
        var fleet = Fleet.Create(Options(PayloadKind.Text) with { Document000 = true });
        var lines = Enumerable.Range(0, fleet.Devices).Select(device => Next(fleet, device)).ToList();

        Assert.Equal(125, lines.Select(line => line[..6]).Distinct().Count());
        Assert.All(lines, line => Assert.Matches(new Regex("^[A-Z]{4}0[1-5]:[1-4][0-9]$"), line));
        Assert.All(lines, line => Assert.InRange(int.Parse(line.AsSpan(7)), 10, 40));
    }

    [Fact]
    public void A_gas_meters_payload_is_twenty_bytes_that_balance()
    {
        var fleet = Fleet.Create(Options(PayloadKind.GasMeter));

        using var reading = JsonDocument.Parse(Next(fleet, 5));

        var app = reading.RootElement.GetProperty("app");
        var payload = app.GetProperty("userdata").GetProperty("payload").GetString()!;
        Assert.DoesNotContain('=', payload);
        var bytes = Convert.FromBase64String(payload + "=");
        Assert.Equal(20, bytes.Length);
        Assert.Equal(
            BinaryPrimitives.ReadUInt32BigEndian(bytes.AsSpan(2)),
            BinaryPrimitives.ReadUInt32BigEndian(bytes.AsSpan(6)) + BinaryPrimitives.ReadUInt32BigEndian(bytes.AsSpan(10)));
        Assert.Matches("^[0-9a-f]{16}$", app.GetProperty("moteeui").GetString());
    }
}
