namespace Millrace.SystemTests;

/// <summary>Waits for what the program shows a moment later, within a deadline that no healthy machine needs.</summary>
internal static class Eventually
{
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(20);

    public static Task<T> GetAsync<T>(Func<Task<T?>> look, string what, TimeSpan? deadline = null)
        where T : class => UntilAsync<T?>(look, found => found is not null, what, deadline)!;

    public static async Task<T> UntilAsync<T>(Func<Task<T>> look, Func<T, bool> isGood, string what, TimeSpan? deadline = null)
    {
        using var timer = new CancellationTokenSource(deadline ?? Deadline);
        while (true)
        {
            var seen = await look();
            if (isGood(seen))
                return seen;
            if (timer.IsCancellationRequested)
                Assert.Fail($"{what} did not come; last seen: {seen}");
            await Task.Delay(Pause, CancellationToken.None);
        }
    }
}
