using System.Text;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging.Abstractions;
using Millrace.Core;
using Millrace.Outputs.Delivery;
using Millrace.Outputs.Webhook;
using Millrace.Testing;

namespace Millrace.Outputs.Tests.Delivery;

public sealed class OutputPumpTests
{
    [Fact]
    public async Task A_target_that_is_down_for_ten_minutes_is_asked_ever_more_rarely_and_then_given_every_row()
    {
        using var folder = new TempFolder();
        await using var receiver = await WebhookReceiver.StartAsync();
        using var client = GuardedHttp.Create();
        var time = new ManualTime();
        var back = time.GetUtcNow().AddMinutes(10);
        receiver.Answer = (_, context) =>
        {
            context.Response.StatusCode = time.GetUtcNow() < back ? 503 : 200;
            return Task.CompletedTask;
        };
        var source = new OutputSource("j", "o");
        using var outbox = Outbox.Open(folder["outbox"]);
        var webhook = new WebhookOutput(source, new WebhookOptions { Url = receiver.Url, Linger = TimeSpan.Zero }, client, new CircuitBreaker(time), time);
        await using var pump = new OutputPump(source, webhook, outbox, folder["books.json"], time, NullLogger.Instance, random: new Random(1));
        for (var n = 0; n < 1200; n++)
            outbox.Append(new RowId(1, n), n, Encoding.UTF8.GetBytes($$"""{"n":{{n}}}"""));
        outbox.Publish();

        using var stop = new CancellationTokenSource();
        var pumping = pump.RunAsync(stop.Token);
        while (outbox.PendingRows > 0)
        {
            // The clock goes to the moment the pump named; a little at a time otherwise, should its timer begin only after that.
            var left = (pump.Status.NextAttemptAt ?? 0) - time.Now();
            time.Advance(TimeSpan.FromMicroseconds(left > 0 ? left : 20));
            await Task.Yield();
        }

        await stop.CancelAsync();
        await pumping;

        Assert.Equal(Enumerable.Range(0, 1200).Select(n => (long)n), receiver.Numbers());
        Assert.InRange(receiver.All.Count, 8, 30);
        Assert.True(time.GetUtcNow() >= back);
        Assert.True(pump.Status.FailuresInAll >= 8, $"{pump.Status.FailuresInAll} failures");
    }
}
