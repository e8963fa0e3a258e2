namespace Millrace.Listeners.Tests;

/// <summary>Waits for what other threads will bring about, with a deadline that only a hang reaches.</summary>
internal static class Eventually
{
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(30);

    public static async Task IsTrueAsync(Func<bool> condition, Func<string>? state = null)
    {
        var started = TimeProvider.System.GetTimestamp();
        while (!condition())
        {
            if (TimeProvider.System.GetElapsedTime(started) > Deadline)
                Assert.Fail($"It did not happen within {Deadline}. {state?.Invoke()}");
            await Task.Delay(1); // Between two looks, with a deadline: counters raise no event.
        }
    }
}
