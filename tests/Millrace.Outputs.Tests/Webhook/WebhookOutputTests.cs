using System.Net;
using System.Security.Cryptography;
using System.Text;
using Microsoft.AspNetCore.Http;
using Millrace.Outputs.Webhook;
using Millrace.Testing;

namespace Millrace.Outputs.Tests.Webhook;

public sealed class WebhookConformanceTests : OutputConformance
{
    protected override async Task<OutputTarget> StartAsync() => new WebhookTarget(await WebhookReceiver.StartAsync());

    private sealed class WebhookTarget(WebhookReceiver receiver) : OutputTarget
    {
        private readonly HttpClient _client = GuardedHttp.Create();

        public override IOutput Create() => new WebhookOutput(
            Source, new WebhookOptions { Url = receiver.Url }, _client, new CircuitBreaker(TimeProvider.System), TimeProvider.System);

        public override Task<IReadOnlyList<long>> HeldAsync() => Task.FromResult(receiver.Numbers());

        public override async ValueTask DisposeAsync()
        {
            _client.Dispose();
            await receiver.DisposeAsync();
            await base.DisposeAsync();
        }
    }
}

public sealed class WebhookOutputTests
{
    private static readonly OutputSource Source = new("low credit", "alerts");
    private readonly ManualTime _time = new();

    [Fact]
    public async Task A_batch_carries_key_and_signature()
    {
        await using var receiver = await WebhookReceiver.StartAsync();
        using var client = GuardedHttp.Create();
        var output = Output(receiver.Url, client, secret: "s3cret");

        await output.AppendAsync([Row(5), Row(6)], default);

        var got = Assert.Single(receiver.All);
        var seconds = _time.GetUtcNow().ToUnixTimeSeconds();
        var expected = Convert.ToHexStringLower(HMACSHA256.HashData("s3cret"u8, Encoding.UTF8.GetBytes($"{seconds}.{got.Body}")));
        Assert.Equal("low%20credit/1/alerts/5-6", got.Key);
        Assert.Equal($"t={seconds},v1={expected}", got.Signature);
        Assert.Equal("""{"job":"low credit","version":1,"output":"alerts","first":5,"last":6,"rows":[{"n":5},{"n":6}]}""", got.Body);
    }

    [Theory]
    [InlineData(500, false)]
    [InlineData(503, false)]
    [InlineData(408, false)]
    [InlineData(429, false)]
    [InlineData(400, true)]
    [InlineData(404, true)]
    [InlineData(302, true)]
    public async Task An_answer_is_a_passing_failure_or_a_refusal(int code, bool refused)
    {
        await using var receiver = await WebhookReceiver.StartAsync();
        receiver.Answer = (_, context) =>
        {
            context.Response.StatusCode = code;
            return context.Response.WriteAsync("because");
        };
        using var client = GuardedHttp.Create();

        var error = await Assert.ThrowsAsync<OutputException>(() => Output(receiver.Url, client).AppendAsync([Row(0)], default).AsTask());

        Assert.Equal(refused, error.Refused);
        Assert.Contains(code == 302 ? "redirects" : "because", error.Message);
    }

    [Fact]
    public async Task Retry_after_is_heard()
    {
        await using var receiver = await WebhookReceiver.StartAsync();
        receiver.Answer = (_, context) =>
        {
            context.Response.StatusCode = 429;
            context.Response.Headers.RetryAfter = "17";
            return Task.CompletedTask;
        };
        using var client = GuardedHttp.Create();

        var error = await Assert.ThrowsAsync<OutputException>(() => Output(receiver.Url, client).AppendAsync([Row(0)], default).AsTask());

        Assert.Equal(TimeSpan.FromSeconds(17), error.RetryAfter);
    }

    [Fact]
    public async Task A_server_that_never_answers_is_given_up_in_time()
    {
        await using var receiver = await WebhookReceiver.StartAsync();
        var asked = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        receiver.Answer = async (_, context) =>
        {
            asked.SetResult();
            await Task.Delay(Timeout.Infinite, context.RequestAborted).ContinueWith(_ => { }, TaskScheduler.Default);
        };
        using var client = GuardedHttp.Create();

        var append = Output(receiver.Url, client).AppendAsync([Row(0)], default).AsTask();
        await asked.Task.WaitAsync(TimeSpan.FromSeconds(30));
        _time.Advance(TimeSpan.FromSeconds(31));
        var error = await Assert.ThrowsAsync<OutputException>(() => append);

        Assert.Contains("did not answer within 30 s", error.Message);
    }

    [Fact]
    public async Task After_five_failures_the_server_is_left_alone_for_all_and_one_attempt_decides()
    {
        await using var receiver = await WebhookReceiver.StartAsync();
        receiver.Answer = (number, context) =>
        {
            context.Response.StatusCode = number < 5 ? 500 : 200;
            return Task.CompletedTask;
        };
        using var client = GuardedHttp.Create();
        var output = Output(receiver.Url, client);

        for (var i = 0; i < 5; i++)
            await Assert.ThrowsAsync<OutputException>(() => output.AppendAsync([Row(0)], default).AsTask());
        var open = await Assert.ThrowsAsync<OutputException>(() => output.AppendAsync([Row(0)], default).AsTask());
        var sentWhileOpen = receiver.All.Count;
        _time.Advance(TimeSpan.FromSeconds(31));
        await output.AppendAsync([Row(0)], default);
        await output.AppendAsync([Row(1)], default);

        Assert.Equal(5, sentWhileOpen);
        Assert.NotNull(open.RetryAfter);
        Assert.Equal(7, receiver.All.Count);
    }

    [Theory]
    [InlineData("169.254.169.254")]
    [InlineData("::ffff:169.254.169.254")]
    [InlineData("fe80::1")]
    [InlineData("fd00:ec2::254")]
    [InlineData("0.0.0.0")]
    public async Task Link_local_addresses_are_never_contacted(string address)
    {
        Assert.True(GuardedHttp.IsForbidden(IPAddress.Parse(address)));
        using var client = GuardedHttp.Create();
        var host = address.Contains(':') ? $"[{address}]" : address;

        var error = await Assert.ThrowsAsync<OutputException>(
            () => Output(new Uri($"http://{host}:9/"), client).AppendAsync([Row(0)], default).AsTask());

        Assert.Contains("link-local", error.Message);
    }

    [Fact]
    public void Loopback_and_ordinary_addresses_are_allowed() =>
        Assert.All(["127.0.0.1", "::1", "10.0.0.1", "192.0.2.1", "2001:db8::1"], a => Assert.False(GuardedHttp.IsForbidden(IPAddress.Parse(a))));

    private WebhookOutput Output(Uri url, HttpClient client, string? secret = null) =>
        new(Source, new WebhookOptions { Url = url, Secret = secret }, client, _breaker ??= new CircuitBreaker(_time), _time);

    private CircuitBreaker? _breaker;

    private static OutputRow Row(long row) => new(new RowId(1, row), 0, Encoding.UTF8.GetBytes($$"""{"n":{{row}}}"""));
}
