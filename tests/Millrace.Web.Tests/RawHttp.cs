using System.Net;
using System.Net.Sockets;
using System.Text;
using Millrace.Core;

namespace Millrace.Web.Tests;

/// <summary>A socket that speaks HTTP as badly as a test wants.</summary>
internal sealed class RawHttp : IDisposable
{
    private readonly Socket _socket = new(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };

    public static async Task<RawHttp> ConnectAsync(string endpoint)
    {
        var raw = new RawHttp();
        await raw._socket.ConnectAsync(IPEndPoint.Parse(endpoint));
        return raw;
    }

    public async Task SendAsync(string text)
    {
        var bytes = Encoding.UTF8.GetBytes(text).AsMemory();
        while (bytes.Length > 0)
            bytes = bytes[await _socket.SendAsync(bytes)..];
    }

    /// <summary>Everything up to the end of the connection, or what <paramref name="until"/> waits for.</summary>
    public async Task<string> ReadAsync(Func<string, bool>? until = null)
    {
        var text = new StringBuilder();
        var buffer = new byte[8192];
        using var deadline = new CancellationTokenSource(TimeSpan.FromSeconds(30));
        while (true)
        {
            var read = await _socket.ReceiveAsync(buffer, deadline.Token);
            text.Append(Encoding.UTF8.GetString(buffer, 0, read));
            if (read == 0 || until?.Invoke(text.ToString()) == true)
                return text.ToString();
        }
    }

    /// <summary>Breaks off as a device that loses its power does.</summary>
    public void Reset()
    {
        _socket.LingerState = new LingerOption(true, 0);
        _socket.Dispose();
    }

    public void Dispose() => _socket.Dispose();
}

internal static class Waiting
{
    /// <summary>Waits for a state that is on its way, with a deadline far beyond what it should take.</summary>
    public static async Task UntilAsync(this ListenerLedger ledger, Func<ListenerLedger, bool> reached)
    {
        var deadline = DateTime.UtcNow.AddSeconds(30);
        while (!reached(ledger))
        {
            Assert.True(DateTime.UtcNow < deadline, "The ledger never got there.");
            await Task.Yield();
        }
    }
}

/// <summary>Gives its bytes in small pieces.</summary>
internal sealed class SlowStream(byte[] bytes, int piece) : MemoryStream(bytes)
{
    public override int Read(byte[] buffer, int offset, int count) => base.Read(buffer, offset, Math.Min(count, piece));

    public override int Read(Span<byte> buffer) => base.Read(buffer[..Math.Min(buffer.Length, piece)]);

    public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default) =>
        base.ReadAsync(buffer[..Math.Min(buffer.Length, piece)], cancellationToken);

    public override async Task CopyToAsync(Stream destination, int bufferSize, CancellationToken cancellationToken)
    {
        var buffer = new byte[piece];
        int read;
        while ((read = Read(buffer)) > 0)
        {
            await destination.WriteAsync(buffer.AsMemory(0, read), cancellationToken);
            await destination.FlushAsync(cancellationToken);
        }
    }
}
