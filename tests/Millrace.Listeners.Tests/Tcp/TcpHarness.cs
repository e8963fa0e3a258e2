using System.Net;
using System.Net.Sockets;
using System.Text;
using Microsoft.Extensions.Logging.Abstractions;
using Millrace.Core;
using Millrace.Listeners.Tcp;

namespace Millrace.Listeners.Tests.Tcp;

internal sealed class TcpHarness : ListenerHarness
{
    private readonly List<TcpPeer> _peers = [];
    private TcpPeer? _first;

    private TcpHarness(TcpLineListenerOptions options, SecurityMode security)
        : base(security)
    {
        Lines = new TcpLineListener(options, Context, Ledger, NullLogger<TcpLineListener>.Instance);
    }

    public override ListenerLedger Ledger { get; } = new(ListenerId.Tcp);

    public override IListener Listener => Lines;

    public TcpLineListener Lines { get; }

    public static async Task<TcpHarness> OpenAsync(TcpLineListenerOptions? options = null, SecurityMode security = SecurityMode.Open)
    {
        var harness = new TcpHarness((options ?? new()) with { Endpoint = new IPEndPoint(IPAddress.Loopback, 0) }, security);
        await harness.StartAsync();
        return harness;
    }

    public async Task<TcpPeer> ConnectAsync()
    {
        var peer = await TcpPeer.ConnectAsync(Port);
        _peers.Add(peer);
        return peer;
    }

    public override async Task SendAsync(string device, double value) => await (await FirstAsync()).SendAsync($"{device}:{value}\n");

    public override async Task SendGarbageAsync() => await (await FirstAsync()).SendAsync([(byte)'m', (byte)':', 0xFF, 0xFE, (byte)'\n']);

    public override async ValueTask DisposeAsync()
    {
        await base.DisposeAsync();
        _peers.ForEach(p => p.Dispose());
    }

    private async Task<TcpPeer> FirstAsync() => _first ??= await ConnectAsync();
}

/// <summary>A client that speaks bytes and reads lines.</summary>
internal sealed class TcpPeer : IDisposable
{
    private readonly Socket _socket;
    private readonly StreamReader _reader;

    private TcpPeer(Socket socket)
    {
        _socket = socket;
        _reader = new StreamReader(new NetworkStream(socket), Encoding.ASCII);
    }

    public static async Task<TcpPeer> ConnectAsync(int port)
    {
        var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        await socket.ConnectAsync(IPAddress.Loopback, port);
        return new TcpPeer(socket);
    }

    public Task SendAsync(string text) => SendAsync(Encoding.UTF8.GetBytes(text));

    public async Task SendAsync(byte[] bytes)
    {
        for (var sent = 0; sent < bytes.Length;)
            sent += await _socket.SendAsync(bytes.AsMemory(sent));
    }

    /// <summary>Says that nothing more will come.</summary>
    public void EndSending() => _socket.Shutdown(SocketShutdown.Send);

    /// <summary>Cuts the connection without a word.</summary>
    public void Reset()
    {
        _socket.LingerState = new LingerOption(true, 0);
        _socket.Dispose();
    }

    /// <summary>The next answer; null when the other end has closed.</summary>
    public async Task<string?> AnswerAsync()
    {
        try
        {
            return await _reader.ReadLineAsync().WaitAsync(TimeSpan.FromSeconds(30));
        }
        catch (IOException)
        {
            return null;
        }
    }

    public async Task<List<string>> AnswersAsync(int count)
    {
        List<string> answers = [];
        while (answers.Count < count && await AnswerAsync() is { } answer)
            answers.Add(answer);
        return answers;
    }

    public async Task IsClosedAsync() => Assert.Null(await AnswerAsync());

    public void Dispose()
    {
        _reader.Dispose();
        _socket.Dispose();
    }
}
