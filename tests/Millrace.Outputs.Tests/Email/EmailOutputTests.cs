using System.Text;
using System.Text.RegularExpressions;
using Millrace.Outputs.Email;
using Millrace.Testing;

namespace Millrace.Outputs.Tests.Email;

public sealed class EmailConformanceTests : OutputConformance
{
    protected override Task<OutputTarget> StartAsync() => Task.FromResult<OutputTarget>(new EmailTarget());

    private sealed class EmailTarget : OutputTarget
    {
        private readonly SmtpStandIn _server = new();

        public override IOutput Create() => new EmailOutput(
            Source, new EmailOptions { To = "ops@example.net" },
            new SmtpOptions { Host = "127.0.0.1", Port = _server.Port, Security = SmtpSecurity.None, From = "millrace@example.net" }, TimeProvider.System);

        public override Task<IReadOnlyList<long>> HeldAsync()
        {
            // A mailbox tells repeats by the Message-ID.
            var mails = _server.Messages.DistinctBy(m => Regex.Match(m, "Message-ID: (.*)").Groups[1].Value);
            return Task.FromResult<IReadOnlyList<long>>([.. mails.SelectMany(m => Regex.Matches(Mails.PlainPart(m), @"^n: (\d+)$", RegexOptions.Multiline)).Select(m => long.Parse(m.Groups[1].Value))]);
        }

        public override async ValueTask DisposeAsync()
        {
            await _server.DisposeAsync();
            await base.DisposeAsync();
        }
    }
}

public sealed class EmailOutputTests
{
    private static readonly OutputSource Source = new("low-credit", "mail");

    [Fact]
    public async Task Many_rows_become_one_mail_with_a_plain_and_an_html_part()
    {
        await using var server = new SmtpStandIn();
        var output = Output(server, new EmailOptions { To = "a@example.net; b@example.net", Subject = "Guthaben niedrig: {id} läuft leer" });
        await output.OpenAsync(default);

        await output.AppendAsync([.. Enumerable.Range(0, 150).Select(i => Row(i, $$"""{"id":"m<{{i}}>","left":{{i}}.5}"""))], default);

        var mail = Assert.Single(server.Messages);
        var subject = string.Concat(Regex.Matches(mail.Replace("\n ", ""), @"=\?utf-8\?B\?([^?]*)\?=").Select(m => Encoding.UTF8.GetString(Convert.FromBase64String(m.Groups[1].Value))));
        Assert.Equal("Guthaben niedrig: m<0> läuft leer (and 149 more)", subject);
        Assert.Contains("id: m<3>\nleft: 3.5\n", Mails.PlainPart(mail));
        Assert.Contains("… and 50 more rows.", Mails.PlainPart(mail));
        Assert.Contains("<td>m&lt;3&gt;</td><td>3.5</td>", Mails.Part(mail, "text/html"));
        Assert.Contains("RCPT TO:<b@example.net>", server.Commands);
    }

    [Fact]
    public async Task A_subject_cannot_add_headers()
    {
        await using var server = new SmtpStandIn();
        var output = Output(server, new EmailOptions { To = "a@example.net", Subject = "{id}" });
        await output.OpenAsync(default);

        await output.AppendAsync([Row(0, """{"id":"x\r\nBcc: victim@example.net\r\n\r\nbody"}""")], default);

        var mail = Assert.Single(server.Messages);
        Assert.DoesNotContain(mail.Split('\n'), line => line.StartsWith("Bcc:", StringComparison.OrdinalIgnoreCase));
        Assert.Contains("Subject: x  Bcc: victim@example.net    body", mail);
    }

    [Theory]
    [InlineData("a@example.net\r\nRCPT TO:<x@y.z>")]
    [InlineData("a@example.net> SIZE=1")]
    [InlineData("nobody")]
    [InlineData("a@b@c")]
    [InlineData("")]
    public async Task Texts_that_are_not_addresses_are_refused(string to)
    {
        await using var server = new SmtpStandIn();

        var error = await Assert.ThrowsAsync<OutputException>(() => Output(server, new EmailOptions { To = to }).OpenAsync(default).AsTask());

        Assert.True(error.Refused);
    }

    [Fact]
    public void The_message_id_follows_from_the_rows()
    {
        var output = new EmailOutput(Source, new EmailOptions { To = "a@b.c" }, new SmtpOptions { From = "m@example.net" }, TimeProvider.System);

        Assert.Equal("low-credit.mail.1-7.9@example.net", output.Compose([Row(7, "{}"), Row(8, "{}"), Row(9, "{}")]).MessageId);
    }

    [Theory]
    [InlineData("MAIL", "451 try later", false)]
    [InlineData("MAIL", "550 never", true)]
    [InlineData("RCPT", "550 no such mailbox", true)]
    [InlineData("end of data", "452 full", false)]
    [InlineData("end of data", "close", false)]
    [InlineData("EHLO", "close", false)]
    public async Task A_server_that_says_no_makes_a_passing_failure_or_a_refusal(string command, string answer, bool refused)
    {
        await using var server = new SmtpStandIn { Answer = c => c.StartsWith(command, StringComparison.Ordinal) ? answer : null };
        var output = Output(server, new EmailOptions { To = "a@example.net" });
        await output.OpenAsync(default);

        var error = await Assert.ThrowsAsync<OutputException>(() => output.AppendAsync([Row(0, "{}")], default).AsTask());

        Assert.Equal(refused, error.Refused);
        Assert.Empty(server.Messages);
    }

    [Fact]
    public async Task A_server_without_starttls_gets_nothing_in_clear()
    {
        await using var server = new SmtpStandIn();
        var mail = new EmailOutput(Source, new EmailOptions { To = "a@b.c" }, Options(server) with { Security = SmtpSecurity.StartTls, User = "u", Password = "p" }, TimeProvider.System);
        await mail.OpenAsync(default);

        var error = await Assert.ThrowsAsync<OutputException>(() => mail.AppendAsync([Row(0, "{}")], default).AsTask());

        Assert.Contains("STARTTLS", error.Message);
        Assert.All(server.Commands, c => Assert.StartsWith("EHLO", c));
    }

    [Theory]
    [InlineData("AUTH PLAIN LOGIN", "AUTH PLAIN AHUAcA==")]
    [InlineData("AUTH LOGIN", "AUTH LOGIN")]
    public async Task The_login_uses_what_the_server_offers(string offers, string expected)
    {
        await using var server = new SmtpStandIn
        {
            Extensions = [offers],
            Answer = c => c switch { "AUTH LOGIN" or "dQ==" => "334 VXNlcm5hbWU6", "cA==" or "AUTH PLAIN AHUAcA==" => "235 in", _ => null },
        };
        var mail = new EmailOutput(Source, new EmailOptions { To = "a@b.c" }, Options(server) with { User = "u", Password = "p" }, TimeProvider.System);
        await mail.OpenAsync(default);

        await mail.AppendAsync([Row(0, "{}")], default);

        Assert.Contains(expected, server.Commands);
        Assert.Single(server.Messages);
    }

    [Fact]
    public async Task A_refused_login_ends_the_attempt()
    {
        await using var server = new SmtpStandIn { Extensions = ["AUTH PLAIN"], Answer = c => c.StartsWith("AUTH", StringComparison.Ordinal) ? "535 no" : null };
        var mail = new EmailOutput(Source, new EmailOptions { To = "a@b.c" }, Options(server) with { User = "u", Password = "secret" }, TimeProvider.System);
        await mail.OpenAsync(default);

        var error = await Assert.ThrowsAsync<OutputException>(() => mail.AppendAsync([Row(0, "{}")], default).AsTask());

        Assert.True(error.Refused);
        Assert.DoesNotContain("secret", error.Message);
        Assert.DoesNotContain(server.Commands, c => c.StartsWith("MAIL", StringComparison.Ordinal));
    }

    [Fact]
    public void Lines_that_begin_with_a_dot_are_stuffed() =>
        Assert.Equal("a\r\n..b\r\n...\r\n.\r\n", Encoding.ASCII.GetString(SmtpSession.DotStuffed("a\r\n.b\r\n..\r\n"u8)));

    [Theory]
    [InlineData(SmtpSecurity.StartTls)]
    [InlineData(SmtpSecurity.None)]
    public async Task A_real_server_takes_the_mail(SmtpSecurity security)
    {
        var host = Environment.GetEnvironmentVariable("SMTP_HOST");
        Assert.SkipWhen(string.IsNullOrEmpty(host), "mail server: SMTP_HOST is not set");
        var secure = security == SmtpSecurity.StartTls;
        var options = new SmtpOptions
        {
            Host = host,
            Port = int.Parse(Environment.GetEnvironmentVariable(secure ? "SMTP_TLS_PORT" : "SMTP_PORT")!),
            Security = security,
            User = secure ? Environment.GetEnvironmentVariable("SMTP_USER")! : "",
            Password = secure ? Environment.GetEnvironmentVariable("SMTP_PASSWORD")! : "",
            From = "millrace@example.net",
            TrustedCertificate = Environment.GetEnvironmentVariable("SMTP_CERTIFICATE")!.Trim('"'),
        };
        var subject = "real " + Guid.NewGuid();
        var output = new EmailOutput(Source, new EmailOptions { To = "ops@example.net", Subject = subject }, options, TimeProvider.System);
        await output.OpenAsync(default);

        await output.AppendAsync([Row(0, """{"id":"Zähler"}""")], default);

        var kept = Directory.GetFiles(Environment.GetEnvironmentVariable("SMTP_MAILBOX")!.Trim('"'), "*.eml").Select(File.ReadAllText).Single(t => t.Contains(subject));
        Assert.Contains("id: Zähler", Mails.PlainPart(kept));
        Assert.Contains(secure ? "X-Login: millrace" : "X-Login:", kept);
    }

    [Fact]
    public async Task A_certificate_nobody_trusts_is_refused()
    {
        var host = Environment.GetEnvironmentVariable("SMTP_HOST");
        Assert.SkipWhen(string.IsNullOrEmpty(host), "mail server: SMTP_HOST is not set");
        var options = new SmtpOptions { Host = host, Port = int.Parse(Environment.GetEnvironmentVariable("SMTP_TLS_PORT")!), From = "m@example.net" };
        var output = new EmailOutput(Source, new EmailOptions { To = "ops@example.net" }, options, TimeProvider.System);
        await output.OpenAsync(default);

        var error = await Assert.ThrowsAsync<OutputException>(() => output.AppendAsync([Row(0, "{}")], default).AsTask());

        Assert.Contains("certificate", error.Message);
    }

    private static EmailOutput Output(SmtpStandIn server, EmailOptions options) => new(Source, options, Options(server), TimeProvider.System);

    private static SmtpOptions Options(SmtpStandIn server) =>
        new() { Host = "127.0.0.1", Port = server.Port, Security = SmtpSecurity.None, From = "millrace@example.net" };

    private static OutputRow Row(long row, string json) => new(new RowId(1, row), 0, Encoding.UTF8.GetBytes(json));
}
