using System.Buffers;
using System.Buffers.Binary;
using System.Buffers.Text;
using System.Globalization;
using System.Text;

namespace Millrace.Commands.Simulate;

/// <summary>
/// The meters of a simulation: their ids, their registers and the readings they send. The readings of a device depend on
/// the seed and on how many it has sent, never on time or on other devices. Hot: called once per reading.
/// Two threads must not write readings of the same device.
/// </summary>
internal sealed class Fleet
{
    /// <summary>The longest reading of any kind, so that callers can size their buffers.</summary>
    public const int ReadingBytesMax = 1024;

    /// <summary>The size that a JSON reading is filled up to: what a meter of a gas utility sends once it is decoded.</summary>
    public const int JsonBytes = 430;

    private static readonly string[] Document000Places = ["BJ", "CD", "CQ", "GZ", "SH"];
    private static readonly string[] Document000Districts = ["AA", "BB", "CC", "DD", "EE"];
    private const int Document000Numbers = 5;

    private readonly ulong _seed;
    private readonly byte[][]? _names;
    private readonly byte[] _prefix;
    private readonly int _digits;
    private readonly bool _hexadecimal;
    private readonly PayloadKind _kind;
    private readonly uint[] _sent;
    private readonly uint[] _used;
    private readonly uint[] _bought;

    private Fleet(int devices, ulong seed, PayloadKind kind, string prefix, byte[][]? names)
    {
        Devices = devices;
        _seed = seed;
        _kind = kind;
        _names = names;
        _hexadecimal = kind == PayloadKind.GasMeter && names is null;
        _prefix = Encoding.UTF8.GetBytes(prefix);
        _digits = _hexadecimal ? 16 - _prefix.Length : Math.Max(6, (devices - 1).ToString(CultureInfo.InvariantCulture).Length);
        _sent = new uint[devices];
        _used = new uint[devices];
        _bought = new uint[devices];
        for (var device = 0; device < devices; device++)
        {
            var random = SplitMix.Mix(seed ^ SplitMix.Mix((ulong)device + 1));
            _used[device] = (uint)(random % 500_000);
            _bought[device] = _used[device] + 2_000 + (uint)((random >> 32) % 300_000);
        }
    }

    public int Devices { get; }

    /// <summary>The integer values 10 to 40 of the NB-IoT test client instead of a register that grows.</summary>
    public bool SmallIntegers => _names is not null;

    public static Fleet Create(SimulationOptions options)
    {
        if (options.Document000)
        {
            var names = Document000Ids().Select(Encoding.ASCII.GetBytes).ToArray();
            return new Fleet(names.Length, options.Seed, options.Payload, "", names);
        }

        // A gas meter is known by its EUI: sixteen hexadecimal digits, of which the prefix is the first eight.
        var prefix = options.Payload == PayloadKind.GasMeter ? "70b3d5e7" : options.DevicePrefix;
        return new Fleet(options.Devices, options.Seed, options.Payload, prefix, null);
    }

    /// <summary>Place, district and number of the NB-IoT collection server's 125 test meters.</summary>
    public static IEnumerable<string> Document000Ids() =>
        from place in Document000Places
        from district in Document000Districts
        from number in Enumerable.Range(1, Document000Numbers)
        select $"{place}{district}{number:00}";

    public int WriteId(int device, Span<byte> target)
    {
        if (_names is not null)
        {
            _names[device].CopyTo(target);
            return _names[device].Length;
        }

        _prefix.CopyTo(target);
        _ = Utf8Formatter.TryFormat(
            (uint)device, target[_prefix.Length..], out var written, new StandardFormat(_hexadecimal ? 'x' : 'D', (byte)_digits));
        return _prefix.Length + written;
    }

    public string Id(int device)
    {
        Span<byte> id = stackalloc byte[256];
        return Encoding.UTF8.GetString(id[..WriteId(device, id)]);
    }

    /// <summary>Writes a device's next reading in the form a line or datagram carries it.</summary>
    /// <param name="unixMs">The device's clock.</param>
    /// <param name="mark">What tells this reading from others of its device: its value's thousandths in text, its number elsewhere.</param>
    /// <returns>The bytes written, at most <see cref="ReadingBytesMax"/>.</returns>
    public int WriteNext(int device, long unixMs, Span<byte> target, out long mark)
    {
        Step(device);
        mark = _kind == PayloadKind.Text && !SmallIntegers ? _used[device] : _sent[device];
        return _kind switch
        {
            PayloadKind.Text => WriteText(device, target, ref mark),
            PayloadKind.Json => WriteJson(device, unixMs, target),
            PayloadKind.Xml => WriteXml(device, unixMs, target),
            _ => WriteGasMeter(device, unixMs, target),
        };
    }

    /// <summary>The same reading as a JSON object with its id, as a request for many devices carries it.</summary>
    public int WriteNextObject(int device, long unixMs, Span<byte> target, out long mark)
    {
        if (_kind != PayloadKind.Text)
            return WriteNext(device, unixMs, target, out mark);

        Step(device);
        mark = SmallIntegers ? SmallInteger(device) * 1000 : _used[device];
        var text = new Utf8Line(target);
        text.Add("{\"id\":\""u8);
        text.Advance(WriteId(device, text.Rest));
        text.Add("\",\"value\":"u8);
        if (SmallIntegers)
            text.Add(SmallInteger(device));
        else
            text.AddThousandths(_used[device]);
        text.Add("}"u8);
        return text.Length;
    }

    private int WriteText(int device, Span<byte> target, ref long mark)
    {
        var text = new Utf8Line(target);
        text.Advance(WriteId(device, target));
        text.Add(":"u8);
        if (SmallIntegers)
        {
            mark = SmallInteger(device) * 1000;
            text.Add(mark / 1000);
        }
        else
        {
            text.AddThousandths(_used[device]);
        }

        return text.Length;
    }

    private int WriteJson(int device, long unixMs, Span<byte> target)
    {
        var random = Draw(device);
        var text = new Utf8Line(target);
        text.Add("{\"id\":\""u8);
        text.Advance(WriteId(device, text.Rest));
        text.Add("\",\"n\":"u8);
        text.Add(_sent[device]);
        text.Add(",\"time\":\""u8);
        text.AddTime(unixMs);
        text.Add("\",\"type\":2,\"code\":1,\"bought\":"u8);
        text.AddThousandths(_bought[device]);
        text.Add(",\"left\":"u8);
        text.AddThousandths(_bought[device] - _used[device]);
        text.Add(",\"used\":"u8);
        text.AddThousandths(_used[device]);
        text.Add(",\"status\":4,\"version\":\"v1.0\",\"temperature\":"u8);
        text.AddThousandths((uint)(12_000 + (random % 9_000)));
        text.Add(",\"pressure\":"u8);
        text.AddThousandths((uint)(1_900 + ((random >> 16) % 300)));
        text.Add(",\"battery\":{\"volts\":"u8);
        text.AddThousandths(3_600 - Math.Min(_sent[device] / 1000, 600));
        text.Add(",\"days\":"u8);
        text.Add(3650 - Math.Min(_sent[device] / 2880, 3650));
        text.Add("},\"radio\":{\"gateway\":\"fffe0201000000"u8);
        text.AddHex2((byte)(device % 131));
        text.Add("\",\"channel\":"u8);
        text.Add((long)((random >> 24) % 8));
        text.Add(",\"rssi\":-"u8);
        text.Add((long)(60 + ((random >> 32) % 60)));
        text.Add(",\"snr\":"u8);
        text.Add((long)((random >> 40) % 12));
        text.Add(",\"datarate\":\"SF12BW125\"},\"site\":{\"zone\":\"Z"u8);
        text.AddHex2((byte)(device % 40));
        text.Add("\",\"building\":"u8);
        text.Add(device / 120);
        text.Add("},\"serial\":\""u8);
        var fill = JsonBytes - text.Length - "\"}".Length;
        for (var i = 0; i < fill; i++)
            text.Add((byte)('0' + ((device + i) % 10)));
        text.Add("\"}"u8);
        return text.Length;
    }

    private int WriteXml(int device, long unixMs, Span<byte> target)
    {
        var text = new Utf8Line(target);
        text.Add("<reading><id>"u8);
        text.Advance(WriteId(device, text.Rest));
        text.Add("</id><n>"u8);
        text.Add(_sent[device]);
        text.Add("</n><time>"u8);
        text.AddTime(unixMs);
        text.Add("</time><used>"u8);
        text.AddThousandths(_used[device]);
        text.Add("</used><left>"u8);
        text.AddThousandths(_bought[device] - _used[device]);
        text.Add("</left></reading>"u8);
        return text.Length;
    }

    private int WriteGasMeter(int device, long unixMs, Span<byte> target)
    {
        Span<byte> meter = stackalloc byte[20];
        meter[0] = 2;
        meter[1] = 1;
        BinaryPrimitives.WriteUInt32BigEndian(meter[2..], _bought[device]);
        BinaryPrimitives.WriteUInt32BigEndian(meter[6..], _bought[device] - _used[device]);
        BinaryPrimitives.WriteUInt32BigEndian(meter[10..], _used[device]);
        BinaryPrimitives.WriteUInt16BigEndian(meter[14..], 4);
        "v1.0"u8.CopyTo(meter[16..]);
        Span<byte> base64 = stackalloc byte[28];
        Base64.EncodeToUtf8(meter, base64, out _, out var written);

        var random = Draw(device);
        var text = new Utf8Line(target);
        text.Add("{\"app\":{\"moteeui\":\""u8);
        text.Advance(WriteId(device, text.Rest));
        text.Add("\",\"dir\":\"up\",\"userdata\":{\"seqno\":"u8);
        text.Add(_sent[device]);
        text.Add(",\"port\":1,\"payload\":\""u8);
        var padding = base64[..written].Count((byte)'=');
        base64[..(written - padding)].CopyTo(text.Rest);
        text.Advance(written - padding);
        text.Add("\"},\"motetx\":{\"freq\":481.5,\"modu\":\"LORA\",\"datr\":\"SF12BW125\",\"codr\":\"4/5\",\"adr\":false},\"gwrx\":[{\"eui\":\"fffe0201000000"u8);
        text.AddHex2((byte)(device % 131));
        text.Add("\",\"time\":\""u8);
        text.AddTime(unixMs);
        text.Add("\",\"timefromgateway\":false,\"chan\":"u8);
        text.Add((long)((random >> 24) % 8));
        text.Add(",\"rfch\":0,\"rssi\":-"u8);
        text.Add((long)(13 + ((random >> 32) % 100)));
        text.Add(",\"lsnr\":"u8);
        text.Add((long)((random >> 40) % 12));
        text.Add("}]}}"u8);
        return text.Length;
    }

    /// <summary>One interval of consumption; a meter that runs low buys, some of them late.</summary>
    private void Step(int device)
    {
        _sent[device]++;
        var habits = SplitMix.Mix(_seed ^ SplitMix.Mix((ulong)device + 1));
        var random = Draw(device);
        var leaking = habits % 50 == 0;
        _used[device] += 1 + (uint)(random % (1 + ((habits >> 8) % 12))) + (leaking ? 15u : 0u);

        if (_used[device] + 5_000 > _bought[device] && (random >> 20) % 64 == 0)
            _bought[device] += 50_000 * (1 + (uint)((random >> 28) % 4));
        if (_used[device] > _bought[device])
            _bought[device] = _used[device];
    }

    private long SmallInteger(int device) => 10 + (long)(Draw(device) % 31);

    private ulong Draw(int device) => SplitMix.Mix(_seed ^ ((ulong)device << 32) ^ _sent[device]);
}
