using Millrace.Codecs;
using Millrace.Core;
using Millrace.Testing;

namespace Millrace.Listeners.Tests;

/// <summary>A listener with everything around it in memory, on a port of its own, and a way to speak its protocol.</summary>
public abstract class ListenerHarness : IAsyncDisposable
{
    private readonly CancellationTokenSource _stopping = new();
    private Task _running = Task.CompletedTask;

    protected ListenerHarness(SecurityMode security = SecurityMode.Open, DecoderOptions? decoder = null)
    {
        Context = new ListenerContext(Log, Admission, DeadLetters, new Decoder(decoder ?? new DecoderOptions()), TimeProvider.System, security);
    }

    internal MemoryLog Log { get; } = new();
    internal TestAdmission Admission { get; } = new();
    internal TestDeadLetters DeadLetters { get; } = new();
    public abstract ListenerLedger Ledger { get; }
    public abstract IListener Listener { get; }
    protected ListenerContext Context { get; }

    public int Port => int.Parse(Listener.Endpoint[(Listener.Endpoint.LastIndexOf(':') + 1)..]);

    /// <summary>Sends one reading; when it returns the bytes have left.</summary>
    public abstract Task SendAsync(string device, double value);

    /// <summary>Sends something that is no reading and counts as exactly one, refused.</summary>
    public abstract Task SendGarbageAsync();

    public async Task StartAsync()
    {
        await Listener.BindAsync(CancellationToken.None);
        _running = Listener.RunAsync(_stopping.Token);
    }

    public async Task StopAsync()
    {
        await _stopping.CancelAsync();
        await _running;
    }

    /// <summary>Waits until so many readings were received and all of them have come to an end.</summary>
    public Task SettledAsync(long received) =>
        Eventually.IsTrueAsync(() => Ledger.Received >= received && Ledger.InFlight == 0 && Unaccounted == 0, () => Books);

    public async Task ReceivedAsync(long received) => await Eventually.IsTrueAsync(() => Ledger.Received >= received, () => Books);

    /// <summary>What the books are out by.</summary>
    public long Unaccounted => Ledger.Received - Ledger.Stored - Ledger.RejectedTotal - Ledger.DroppedTotal - Ledger.InFlight;

    public string Books =>
        $"received {Ledger.Received}, stored {Ledger.Stored}, rejected {Ledger.RejectedTotal}, dropped {Ledger.DroppedTotal}, in flight {Ledger.InFlight}";

    public IReadOnlyList<(string Id, string Payload)> Stored => Log.Readings;

    public virtual async ValueTask DisposeAsync()
    {
        if (Log.State == LogState.Accepting)
            Log.Release();
        await StopAsync();
        (Listener as IDisposable)?.Dispose();
        _stopping.Dispose();
        GC.SuppressFinalize(this);
    }
}
