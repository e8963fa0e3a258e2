namespace Millrace.Outputs;

/// <summary>
/// Where rows go. Driven by one <see cref="Delivery.OutputPump"/>, never by two threads at once. Rows arrive in ascending
/// <see cref="RowId"/> order; none is given again unless an append failed or the process died, and then the output sees it
/// again until it says that it holds it.
/// </summary>
public interface IOutput : IAsyncDisposable
{
    /// <summary>As in a job's definition: files, sql, webhook…</summary>
    string Kind { get; }

    /// <summary>How the pump cuts rows into batches.</summary>
    OutputBatching Batching { get; }

    /// <summary>
    /// Whether <see cref="OpenAsync"/> alone always knows what the target holds. When false the pump keeps the books too: it
    /// records every batch before its first attempt, and repeats exactly that batch until it is taken.
    /// </summary>
    bool KeepsBooks { get; }

    /// <summary>
    /// Connects and tells the highest row the target itself holds. Called before the first append and again after every
    /// append that failed, so an uncertain append is settled here.
    /// </summary>
    /// <returns>The highest row found in the target, or <see cref="RowId.None"/> when it holds none or cannot tell.</returns>
    /// <exception cref="OutputException">The target cannot be used now.</exception>
    ValueTask<RowId> OpenAsync(CancellationToken cancel);

    /// <summary>
    /// Hands over a batch; completes when the target has it as safely as it can. All or nothing as far as the target allows.
    /// </summary>
    /// <exception cref="OutputException">The batch was not taken, or it is not known whether it was.</exception>
    ValueTask AppendAsync(IReadOnlyList<OutputRow> rows, CancellationToken cancel);

    /// <summary>Called about once a second while no row comes: files are rolled by time here.</summary>
    ValueTask IdleAsync(CancellationToken cancel) => ValueTask.CompletedTask;
}

/// <summary>How rows are cut into batches: a batch closes at the first bound reached.</summary>
/// <param name="RowsMax">Most rows in a batch.</param>
/// <param name="BytesMax">Most bytes of JSON in a batch; a single larger row still goes.</param>
/// <param name="Linger">How long a batch waits for more rows after its first one.</param>
public readonly record struct OutputBatching(int RowsMax, int BytesMax, TimeSpan Linger);

/// <summary>The target did not take a batch. The message says what happened, to what, and what to do; it holds no secrets.</summary>
/// <param name="refused">Trying again soon will not help: the target or the definition has to be mended.</param>
/// <param name="retryAfter">When the target said how long to wait.</param>
public sealed class OutputException(string message, Exception? inner = null, bool refused = false, TimeSpan? retryAfter = null)
    : Exception(message, inner)
{
    public bool Refused { get; } = refused;

    public TimeSpan? RetryAfter { get; } = retryAfter;
}
