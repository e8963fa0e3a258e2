using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;
using System.Text;

namespace Millrace.Testing;

/// <summary>A scripted mail server for what a real one will not do on request.</summary>
public sealed class SmtpStandIn : IAsyncDisposable
{
    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly CancellationTokenSource _stop = new();
    private readonly Task _serving;

    public SmtpStandIn()
    {
        _listener.Start();
        _serving = ServeAsync();
    }

    public int Port => ((IPEndPoint)_listener.LocalEndpoint).Port;

    public ConcurrentQueue<string> Messages { get; } = new();

    public ConcurrentQueue<string> Commands { get; } = new();

    /// <summary>Lines of the answer to EHLO after the first.</summary>
    public string[] Extensions { get; set; } = [];

    /// <summary>The answer to a command, or null for the usual one; "close" closes the connection.</summary>
    public Func<string, string?> Answer { get; set; } = _ => null;

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        _listener.Stop();
        await _serving;
        _stop.Dispose();
    }

    private async Task ServeAsync()
    {
        List<Task> sessions = [];
        try
        {
            while (true)
                sessions.Add(TalkAsync(await _listener.AcceptTcpClientAsync(_stop.Token)));
        }
        catch (Exception e) when (e is OperationCanceledException or SocketException or ObjectDisposedException)
        {
            await Task.WhenAll(sessions);
        }
    }

    private async Task TalkAsync(TcpClient client)
    {
        try
        {
            using var owned = client;
            using var reader = new StreamReader(client.GetStream(), Encoding.UTF8);
            var output = client.GetStream();
            await SayAsync("220 ready");
            while (await reader.ReadLineAsync(_stop.Token) is { } command)
            {
                Commands.Enqueue(command);
                var answer = Answer(command) ?? Usual(command);
                if (answer == "close")
                    return;
                await SayAsync(answer);
                if (!answer.StartsWith("354", StringComparison.Ordinal))
                    continue;
                var text = new StringBuilder();
                while (await reader.ReadLineAsync(_stop.Token) is { } line && line != ".")
                    text.Append(line.StartsWith('.') ? line[1..] : line).Append('\n');
                var end = Answer("end of data") ?? "250 kept";
                if (end.StartsWith("250", StringComparison.Ordinal))
                    Messages.Enqueue(text.ToString());
                if (end == "close")
                    return;
                await SayAsync(end);
            }

            async Task SayAsync(string line) => await output.WriteAsync(Encoding.UTF8.GetBytes(line + "\r\n"), _stop.Token);
        }
        catch (Exception e) when (e is IOException or OperationCanceledException)
        {
            // The client went away.
        }
    }

    private string Usual(string command) => command.Split(' ')[0] switch
    {
        "EHLO" => string.Join("\r\n", Extensions.Prepend("stand-in").Select((l, i) => (i == Extensions.Length ? "250 " : "250-") + l)),
        "DATA" => "354 go on",
        "QUIT" => "221 bye",
        _ => "250 fine",
    };
}
