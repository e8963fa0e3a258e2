using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;
using System.Text;

namespace Millrace.Outputs.Email;

/// <summary>
/// One conversation with a mail server (RFC 5321, STARTTLS RFC 3207, AUTH RFC 4954), for one message. The class library's client
/// lacks implicit TLS and PLAIN, and carries on without a login after one was refused.
/// </summary>
internal sealed class SmtpSession : IAsyncDisposable
{
    private const int ReplyLineBytesMax = 4096;
    private const int ReplyLinesMax = 128;

    private readonly SmtpOptions _options;
    private readonly TcpClient _tcp = new();
    private readonly byte[] _received = new byte[ReplyLineBytesMax];
    private Stream _stream = Stream.Null;
    private int _start;
    private int _end;
    private HashSet<string> _extensions = [];
    private string[] _mechanisms = [];

    private readonly record struct Reply(int Code, string Text)
    {
        public bool IsPositive => Code is >= 200 and < 400;
    }

    private SmtpSession(SmtpOptions options) => _options = options;

    /// <summary>Sends one message.</summary>
    /// <returns>Recipients the server refused while it took others.</returns>
    /// <exception cref="OutputException">The server did not take it, or the connection broke before it said so.</exception>
    public static async Task<IReadOnlyList<string>> SendAsync(SmtpOptions options, Mail mail, CancellationToken cancel)
    {
        if (options.Host.Length == 0)
            throw new OutputException("no mail server is set; the operator sets Smtp:Host, Smtp:From and, if needed, Smtp:User", refused: true);
        if (!MailAddresses.IsValid(mail.From))
            throw new OutputException($"the sender '{mail.From}' is not a mail address; set Smtp:From", refused: true);
        await using var session = new SmtpSession(options);
        try
        {
            await session.GreetAsync(cancel);
            return await session.DeliverAsync(mail, cancel);
        }
        catch (Exception e) when (e is IOException or SocketException or AuthenticationException)
        {
            throw new OutputException($"mail server {options.Host}:{options.Port}: {e.Message}", e);
        }
        catch (OperationCanceledException e) when (!cancel.IsCancellationRequested)
        {
            throw new OutputException($"mail server {options.Host}:{options.Port} did not answer within {options.Timeout.TotalSeconds:F0} s", e);
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _stream.DisposeAsync();
        _tcp.Dispose();
    }

    private async Task GreetAsync(CancellationToken cancel)
    {
        using (var limit = Limit(cancel))
            await _tcp.ConnectAsync(_options.Host, _options.Port, limit.Token);
        _stream = _tcp.GetStream();
        if (_options.Security == SmtpSecurity.Tls)
            await SecureAsync(cancel);
        Demand(await ReadReplyAsync(cancel), "greeting");
        await HelloAsync(cancel);
        if (_options.Security == SmtpSecurity.StartTls)
        {
            if (!_extensions.Contains("STARTTLS"))
                throw new OutputException($"mail server {_options.Host} does not offer STARTTLS; nothing was sent in clear. Set Smtp:Security if that is intended", refused: true);
            Demand(await CommandAsync("STARTTLS", cancel), "STARTTLS");
            if (_start != _end)
                throw new OutputException($"mail server {_options.Host} sent text before TLS began; the connection may be tampered with");
            await SecureAsync(cancel);
            await HelloAsync(cancel);
        }

        if (_options.User.Length > 0)
            await LogInAsync(cancel);
    }

    private async Task SecureAsync(CancellationToken cancel)
    {
        var secure = new SslStream(_stream, leaveInnerStreamOpen: false);
        _stream = secure;
        using var limit = Limit(cancel);
        using var trusted = _options.LoadTrusted();
        await secure.AuthenticateAsClientAsync(
            new SslClientAuthenticationOptions
            {
                TargetHost = _options.Host,
                RemoteCertificateValidationCallback = trusted is null
                    ? null
                    : (_, certificate, _, errors) => IsTrusted(certificate, errors, trusted),
            },
            limit.Token);
    }

    private static bool IsTrusted(X509Certificate? certificate, SslPolicyErrors errors, X509Certificate2 trusted)
    {
        if (errors == SslPolicyErrors.None)
            return true;
        if (certificate is not X509Certificate2 shown || errors.HasFlag(SslPolicyErrors.RemoteCertificateNameMismatch))
            return false;
        using var chain = new X509Chain();
        chain.ChainPolicy.TrustMode = X509ChainTrustMode.CustomRootTrust;
        chain.ChainPolicy.CustomTrustStore.Add(trusted);
        chain.ChainPolicy.RevocationMode = X509RevocationMode.NoCheck;
        return chain.Build(shown);
    }

    private async Task HelloAsync(CancellationToken cancel)
    {
        var reply = await CommandAsync($"EHLO {HelloName()}", cancel);
        Demand(reply, "EHLO");
        var lines = reply.Text.Split('\n').Skip(1).Select(l => l.Trim().ToUpperInvariant()).ToList();
        _extensions = [.. lines.Select(l => l.Split(' ')[0])];
        _mechanisms = lines.FirstOrDefault(l => l.StartsWith("AUTH ", StringComparison.Ordinal))?[5..].Split(' ') ?? [];
    }

    private static string HelloName()
    {
        var name = Dns.GetHostName();
        return name.Length > 0 && name.All(c => char.IsAsciiLetterOrDigit(c) || c is '.' or '-') ? name : "localhost";
    }

    private async Task LogInAsync(CancellationToken cancel)
    {
        Reply reply;
        if (_mechanisms.Contains("PLAIN") || _mechanisms.Length == 0)
        {
            reply = await CommandAsync("AUTH PLAIN " + Base64($"\0{_options.User}\0{_options.Password}"), cancel);
        }
        else if (_mechanisms.Contains("LOGIN"))
        {
            reply = await CommandAsync("AUTH LOGIN", cancel);
            if (reply.Code == 334)
                reply = await CommandAsync(Base64(_options.User), cancel);
            if (reply.Code == 334)
                reply = await CommandAsync(Base64(_options.Password), cancel);
        }
        else
        {
            throw new OutputException($"mail server {_options.Host} offers no login we speak ({string.Join(' ', _mechanisms)})", refused: true);
        }

        if (reply.Code != 235)
            throw new OutputException($"mail server {_options.Host} refused the login of {_options.User}: {OneLine(reply)}", refused: reply.Code >= 500);
    }

    private async Task<IReadOnlyList<string>> DeliverAsync(Mail mail, CancellationToken cancel)
    {
        var international = mail.To.Append(mail.From).Any(a => a.Any(c => c > '~'));
        if (international && !_extensions.Contains("SMTPUTF8"))
            throw new OutputException($"mail server {_options.Host} does not take international addresses", refused: true);
        Demand(await CommandAsync($"MAIL FROM:<{mail.From}>{(international ? " SMTPUTF8" : "")}", cancel), $"sender {mail.From}");

        List<string> refused = [];
        Reply last = default;
        foreach (var to in mail.To)
        {
            last = await CommandAsync($"RCPT TO:<{to}>", cancel);
            if (!last.IsPositive)
                refused.Add($"{to} ({OneLine(last)})");
        }

        if (refused.Count == mail.To.Count)
            throw new OutputException($"mail server {_options.Host} refused every recipient: {string.Join(", ", refused)}", refused: last.Code >= 500);
        Demand(await CommandAsync("DATA", cancel), "DATA", 354);
        await WriteAsync(DotStuffed(mail.ToBytes()), cancel);
        Demand(await ReadReplyAsync(cancel), "the message");
        try
        {
            await CommandAsync("QUIT", cancel);
        }
        catch (Exception e) when (e is IOException or SocketException or OperationCanceledException or OutputException)
        {
            // The message is taken, whatever the server says at parting and even if we stop while it does.
        }

        return refused;
    }

    /// <summary>The message with a dot doubled at the start of a line, and the lone dot that ends it.</summary>
    internal static byte[] DotStuffed(ReadOnlySpan<byte> message)
    {
        var result = new MemoryStream(message.Length + 16);
        var lineStart = true;
        foreach (var b in message)
        {
            if (lineStart && b == '.')
                result.WriteByte((byte)'.');
            result.WriteByte(b);
            lineStart = b == '\n';
        }

        if (!lineStart)
            result.Write("\r\n"u8);
        result.Write(".\r\n"u8);
        return result.ToArray();
    }

    private async Task<Reply> CommandAsync(string line, CancellationToken cancel)
    {
        await WriteAsync(Encoding.UTF8.GetBytes(line + "\r\n"), cancel);
        return await ReadReplyAsync(cancel);
    }

    private async Task WriteAsync(byte[] bytes, CancellationToken cancel)
    {
        using var limit = Limit(cancel);
        await _stream.WriteAsync(bytes, limit.Token);
        await _stream.FlushAsync(limit.Token);
    }

    private async Task<Reply> ReadReplyAsync(CancellationToken cancel)
    {
        using var limit = Limit(cancel);
        var text = new StringBuilder();
        for (var lines = 0; lines < ReplyLinesMax; lines++)
        {
            var line = await ReadLineAsync(limit.Token);
            if (line.Length < 3 || !int.TryParse(line.AsSpan(0, 3), out var code))
                throw new IOException("the answer is not SMTP");
            if (lines > 0)
                text.Append('\n');
            text.Append(line.Length > 4 ? line[4..] : "");
            if (line.Length == 3 || line[3] != '-')
                return new Reply(code, text.ToString());
        }

        throw new IOException("the answer does not end");
    }

    private async Task<string> ReadLineAsync(CancellationToken cancel)
    {
        while (true)
        {
            var end = _received.AsSpan(_start, _end - _start).IndexOf((byte)'\n');
            if (end >= 0)
            {
                var line = Encoding.UTF8.GetString(_received, _start, end).TrimEnd('\r');
                _start += end + 1;
                return line;
            }

            _received.AsSpan(_start, _end - _start).CopyTo(_received);
            (_start, _end) = (0, _end - _start);
            if (_end == _received.Length)
                throw new IOException("a line of the answer is too long");
            var read = await _stream.ReadAsync(_received.AsMemory(_end), cancel);
            if (read == 0)
                throw new IOException("the server closed the connection");
            _end += read;
        }
    }

    private CancellationTokenSource Limit(CancellationToken cancel)
    {
        var limit = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        limit.CancelAfter(_options.Timeout);
        return limit;
    }

    private void Demand(Reply reply, string what, int? code = null)
    {
        if (code is null ? reply.IsPositive : reply.Code == code)
            return;
        throw new OutputException($"mail server {_options.Host} refused {what}: {OneLine(reply)}", refused: reply.Code >= 500);
    }

    private static string OneLine(Reply reply) => $"{reply.Code} {reply.Text.Replace('\n', ' ')}";

    private static string Base64(string text) => Convert.ToBase64String(Encoding.UTF8.GetBytes(text));
}
