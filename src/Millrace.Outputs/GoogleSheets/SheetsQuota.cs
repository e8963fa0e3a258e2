namespace Millrace.Outputs.GoogleSheets;

/// <summary>
/// Spaces calls so that all outputs together stay within the service's 60 calls a minute and user. One for the whole server.
/// Thread-safe.
/// </summary>
public sealed class SheetsQuota(TimeProvider time, int callsPerMinute = 50)
{
    private readonly Lock _gate = new();
    private readonly Queue<DateTimeOffset> _calls = new();

    /// <summary>Waits until one more call is allowed.</summary>
    public async ValueTask EnterAsync(CancellationToken cancel)
    {
        while (true)
        {
            TimeSpan wait;
            lock (_gate)
            {
                var now = time.GetUtcNow();
                while (_calls.TryPeek(out var oldest) && now - oldest >= TimeSpan.FromMinutes(1))
                    _calls.Dequeue();
                if (_calls.Count < callsPerMinute)
                {
                    _calls.Enqueue(now);
                    return;
                }

                wait = _calls.Peek() + TimeSpan.FromMinutes(1) - now;
            }

            await Task.Delay(wait, time, cancel);
        }
    }
}
