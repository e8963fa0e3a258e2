using System.Collections.Concurrent;

namespace Millrace.Outputs.Webhook;

/// <summary>
/// Keeps many outputs from hammering one dead server: after some failures in a row everybody waits, then one attempt decides for
/// all. Thread-safe.
/// </summary>
public sealed class CircuitBreaker(TimeProvider time)
{
    private const int FailuresMax = 5;
    private static readonly TimeSpan OpenFor = TimeSpan.FromSeconds(30);

    private readonly ConcurrentDictionary<string, Circuit> _circuits = new(StringComparer.OrdinalIgnoreCase);

    private sealed class Circuit
    {
        public int Failures { get; set; }
        public DateTimeOffset OpenUntil { get; set; }
    }

    /// <summary>Asks before an attempt.</summary>
    /// <exception cref="OutputException">The circuit is open; the exception says how long.</exception>
    public void Enter(string target)
    {
        var circuit = _circuits.GetOrAdd(target, static _ => new Circuit());
        lock (circuit)
        {
            if (circuit.Failures < FailuresMax)
                return;
            var now = time.GetUtcNow();
            if (circuit.OpenUntil > now)
            {
                throw new OutputException(
                    $"{target} failed {circuit.Failures} times in a row and is left alone until {circuit.OpenUntil:HH:mm:ss}Z",
                    retryAfter: circuit.OpenUntil - now);
            }

            // This attempt is the probe; the others wait for another period.
            circuit.OpenUntil = now + OpenFor;
        }
    }

    public void Succeeded(string target)
    {
        if (_circuits.TryGetValue(target, out var circuit))
        {
            lock (circuit)
                circuit.Failures = 0;
        }
    }

    public void Failed(string target)
    {
        var circuit = _circuits.GetOrAdd(target, static _ => new Circuit());
        lock (circuit)
        {
            circuit.Failures++;
            if (circuit.Failures >= FailuresMax)
                circuit.OpenUntil = time.GetUtcNow() + OpenFor;
        }
    }
}
