using System.Buffers.Text;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;

namespace Millrace.Commands.Simulate;

/// <summary>
/// One kept-alive HTTP/1.1 connection with one request at a time, over a plain socket: a load client must cost less than
/// the server it drives. Not thread-safe.
/// </summary>
internal sealed class HttpExchange(Socket socket) : IDisposable
{
    private byte[] _request = new byte[4096];
    private byte[] _answer = new byte[8192];
    private int _held;

    /// <summary>The status, and the body until the next request.</summary>
    public readonly record struct Answer(int Status, ReadOnlyMemory<byte> Body, int RetryAfterSeconds);

    public static async Task<HttpExchange> ConnectAsync(IPEndPoint target, CancellationToken cancel)
    {
        var socket = new Socket(target.AddressFamily, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        try
        {
            await socket.ConnectAsync(target, cancel);
            return new HttpExchange(socket);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    /// <summary>The request's head as bytes, all but the length of its body.</summary>
    public static byte[] Head(string method, string path, string host, string? contentType, string? token) => Encoding.ASCII.GetBytes(
        $"{method} {path} HTTP/1.1\r\nHost: {host}\r\n" +
        (token is null ? "" : $"Authorization: Bearer {token}\r\n") +
        (contentType is null ? "" : $"Content-Type: {contentType}\r\n") + "Content-Length: ");

    /// <exception cref="SocketException">The connection broke; whether the request was served is unknown.</exception>
    public async ValueTask<Answer> SendAsync(ReadOnlyMemory<byte> head, ReadOnlyMemory<byte> body, CancellationToken cancel)
    {
        var length = head.Length + 16 + body.Length;
        if (_request.Length < length)
            _request = new byte[length * 2];
        head.CopyTo(_request);
        _ = Utf8Formatter.TryFormat(body.Length, _request.AsSpan(head.Length), out var digits);
        "\r\n\r\n"u8.CopyTo(_request.AsSpan(head.Length + digits));
        body.CopyTo(_request.AsMemory(head.Length + digits + 4));

        var request = _request.AsMemory(0, head.Length + digits + 4 + body.Length);
        while (request.Length > 0)
            request = request[await socket.SendAsync(request, cancel)..];
        return await ReceiveAsync(cancel);
    }

    private async ValueTask<Answer> ReceiveAsync(CancellationToken cancel)
    {
        _held = 0;
        var headEnd = -1;
        while (headEnd < 0)
        {
            await FillAsync(cancel);
            headEnd = _answer.AsSpan(0, _held).IndexOf("\r\n\r\n"u8);
        }

        var head = Encoding.ASCII.GetString(_answer, 0, headEnd);
        var status = int.Parse(head.AsSpan(9, 3), CultureInfo.InvariantCulture);
        var retryAfter = Header(head, "Retry-After") is { } seconds && int.TryParse(seconds, out var s) ? s : 0;
        var bodyStart = headEnd + 4;
        if (Header(head, "Transfer-Encoding") is { } coding && coding.Contains("chunked", StringComparison.OrdinalIgnoreCase))
            return new Answer(status, await ReceiveChunksAsync(bodyStart, cancel), retryAfter);

        var length = Header(head, "Content-Length") is { } text ? int.Parse(text, CultureInfo.InvariantCulture) : 0;
        while (_held < bodyStart + length)
            await FillAsync(cancel);
        return new Answer(status, _answer.AsMemory(bodyStart, length), retryAfter);
    }

    private async ValueTask<ReadOnlyMemory<byte>> ReceiveChunksAsync(int at, CancellationToken cancel)
    {
        var body = new MemoryStream();
        while (true)
        {
            int line;
            while ((line = _answer.AsSpan(at, _held - at).IndexOf("\r\n"u8)) < 0)
                await FillAsync(cancel);
            if (!Utf8Parser.TryParse(_answer.AsSpan(at, line), out int size, out _, 'x'))
                throw new InvalidDataException("The server's answer has a chunk without a length.");
            at += line + 2;
            while (_held < at + size + 2)
                await FillAsync(cancel);
            if (size == 0)
                return body.ToArray();
            body.Write(_answer, at, size);
            at += size + 2;
        }
    }

    private async ValueTask FillAsync(CancellationToken cancel)
    {
        if (_held == _answer.Length)
            Array.Resize(ref _answer, _answer.Length * 2);
        var received = await socket.ReceiveAsync(_answer.AsMemory(_held), cancel);
        if (received == 0)
            throw new SocketException((int)SocketError.ConnectionReset);
        _held += received;
    }

    private static string? Header(string head, string name)
    {
        var at = head.IndexOf($"\r\n{name}:", StringComparison.OrdinalIgnoreCase);
        if (at < 0)
            return null;
        at += name.Length + 3;
        var end = head.IndexOf("\r\n", at, StringComparison.Ordinal);
        return (end < 0 ? head[at..] : head[at..end]).Trim();
    }

    public void Dispose() => socket.Dispose();
}
