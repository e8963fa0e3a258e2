using System.Net;
using System.Net.Sockets;
using System.Text;

namespace Millrace.Tests.Commands.Simulate;

/// <summary>Takes connections one after the other until it is disposed.</summary>
internal abstract class ScriptedServer : IDisposable
{
    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);

    protected ScriptedServer()
    {
        _listener.Start();
        Serving = ServeAsync();
    }

    public Task Serving { get; }

    public int Port => ((IPEndPoint)_listener.LocalEndpoint).Port;

    public void Dispose() => _listener.Dispose();

    protected abstract Task ServeAsync(TcpClient client);

    private async Task ServeAsync()
    {
        while (true)
        {
            TcpClient client;
            try
            {
                client = await _listener.AcceptTcpClientAsync();
            }
            catch (Exception e) when (e is SocketException or ObjectDisposedException)
            {
                return;
            }

            using (client)
                await ServeAsync(client);
        }
    }
}

/// <summary>
/// Reads lines and answers each as told: text is sent, an empty text is silence, null breaks the connection. The first line
/// of a connection must be ACK.
/// </summary>
internal sealed class LineServer(Func<string, int, string?> answerTo) : ScriptedServer
{
    public List<string> Lines { get; } = [];

    protected override async Task ServeAsync(TcpClient client)
    {
        try
        {
            using var reader = new StreamReader(client.GetStream());
            await using var writer = new StreamWriter(client.GetStream());
            Assert.Equal("ACK", await reader.ReadLineAsync());
            while (await reader.ReadLineAsync() is { } line)
            {
                Lines.Add(line);
                if (answerTo(line, Lines.Count - 1) is not { } answer)
                {
                    await writer.FlushAsync();
                    client.LingerState = new LingerOption(true, 0);
                    return;
                }

                if (answer.Length == 0)
                {
                    await writer.FlushAsync();
                    continue;
                }

                await writer.WriteAsync(answer + "\n");
                if (!client.GetStream().DataAvailable)
                    await writer.FlushAsync();
            }
        }
        catch (IOException)
        {
            // The sender closed.
        }
    }
}

/// <summary>Reads requests with a Content-Length and answers each with the bytes it is told, one small piece at a time; null breaks the connection.</summary>
internal sealed class HttpServer(Func<int, string?> answerTo) : ScriptedServer
{
    private int _requests;

    /// <summary>The bodies of answered requests.</summary>
    public List<string> Bodies { get; } = [];

    protected override async Task ServeAsync(TcpClient client)
    {
        client.NoDelay = true;
        var stream = client.GetStream();
        using var reader = new StreamReader(stream, Encoding.ASCII);
        try
        {
            while (await reader.ReadLineAsync() is { } requestLine)
            {
                Assert.Equal("POST /api/v1/telemetry HTTP/1.1", requestLine);
                var length = 0;
                while (await reader.ReadLineAsync() is { Length: > 0 } header)
                {
                    if (header.StartsWith("Content-Length:", StringComparison.Ordinal))
                        length = int.Parse(header.AsSpan(15));
                }

                var body = new char[length];
                await reader.ReadBlockAsync(body);
                if (answerTo(_requests++) is not { } answer)
                    return;
                Bodies.Add(new string(body));
                foreach (var piece in Encoding.ASCII.GetBytes(answer).Chunk(25))
                    await stream.WriteAsync(piece);
            }
        }
        catch (IOException)
        {
            // The sender closed.
        }
    }
}
