using System.Text;
using System.Text.Json.Nodes;
using Microsoft.Extensions.Logging;
using Millrace.Jobs.Running;
using Millrace.Outputs;
using Millrace.Outputs.Delivery;
using Millrace.Registry.Alerts;

namespace Millrace.Jobs.Alerting;

/// <summary>
/// Brings the messages of one channel from the alert book to people. A message's number in the book is its row number, so the
/// outbox takes it once and a repeated mail has the same Message-ID.
/// </summary>
internal sealed class AlertChannel : IAsyncDisposable
{
    private readonly string _channel;
    private readonly AlertBook _book;
    private readonly Outbox _outbox;
    private readonly OutputPump _pump;

    public AlertChannel(string channel, JsonObject spec, string folder, JobServices services, ILogger log)
    {
        _channel = channel;
        _book = services.Alerts;
        var slash = channel.IndexOf('/');
        var source = new OutputSource(channel[..slash], channel[(slash + 1)..]);
        _outbox = Outbox.Open(folder);
        _pump = new OutputPump(
            source, new OutputFactory(services).Create(source, spec["kind"]!.GetValue<string>(), spec, channel), _outbox,
            Path.Combine(folder, "delivered.json"), services.Time, log, services.Retry);
        _pump.Advanced += held =>
        {
            if (held.Row >= 0)
                _book.Delivered(_channel, held.Row);
        };
    }

    public string Name => _channel;

    public OutputStatus Status => _pump.Status;

    /// <summary>Opens a channel below a place; what an earlier release left there, which named channels by their place in the list, is taken over.</summary>
    public static AlertChannel Open(AlertTo to, string place, JobServices services, ILogger log)
    {
        Adopt(to, place, services.Alerts);
        return new AlertChannel(to.Channel, to.Spec, Path.Combine(place, to.Folder), services, log);
    }

    private static void Adopt(AlertTo to, string place, AlertBook book)
    {
        var (earlier, folder) = (Path.Combine(place, to.EarlierFolder), Path.Combine(place, to.Folder));
        if (!Directory.Exists(earlier) || Directory.Exists(folder))
            return;
        book.RenameChannel(to.EarlierChannel, to.Channel);
        Directory.Move(earlier, folder);
    }

    /// <summary>Delivers what waits, in the book too, for so long at most.</summary>
    public Task DrainAsync(TimeSpan max, CancellationToken cancel)
    {
        Forward();
        return _pump.DrainAsync(max, cancel);
    }

    public Task RunAsync(CancellationToken stopping) => _pump.RunAsync(stopping);

    /// <summary>Takes what waits in the book. One thread at a time.</summary>
    public void Forward()
    {
        while (_book.Waiting(_channel, _outbox.Highest.Row) is { Count: > 0 } waiting)
        {
            foreach (var message in waiting)
                _outbox.Append(new RowId(1, message.Number), message.At, Encoding.UTF8.GetBytes(message.Body));
            _outbox.Publish();
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _pump.DisposeAsync();
        _outbox.Dispose();
    }
}
