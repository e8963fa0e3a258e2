namespace Millrace.Listeners.Http;

/// <summary>Bytes that the bodies of all requests may hold in memory together. Thread-safe.</summary>
internal sealed class BodyBudget(long bytesMax)
{
    private long _taken;

    /// <summary>Takes bytes; false, and nothing taken, when they are not there.</summary>
    public bool TryTake(long bytes)
    {
        if (Interlocked.Add(ref _taken, bytes) <= bytesMax)
            return true;
        Interlocked.Add(ref _taken, -bytes);
        return false;
    }

    public void Return(long bytes) => Interlocked.Add(ref _taken, -bytes);
}
