namespace Millrace.Core;

/// <summary>
/// Something derived from the log: it keeps its own state together with how far it has read, so a crash costs a re-read.
/// Driven by one runner, never by two threads at once.
/// </summary>
public interface IReadingView
{
    /// <summary>Stable, lower-case: a metric label and the name of its checkpoint.</summary>
    string Name { get; }

    /// <summary>Restores the state and says where to read on. Called again after a fault.</summary>
    /// <param name="log">For a view that starts somewhere else than at the oldest reading.</param>
    ValueTask<PositionVector> OpenAsync(IReadingLog log, CancellationToken cancel);

    /// <summary>Takes in one block. Must tolerate a block it has seen before (after a crash). May buffer.</summary>
    ValueTask ApplyAsync(LogBlock block, CancellationToken cancel);

    /// <summary>Called when the view has caught up with the tail for the moment: time to hand on what is buffered.</summary>
    ValueTask IdleAsync(CancellationToken cancel) => ValueTask.CompletedTask;

    /// <summary>Makes the state durable up to <paramref name="position"/>, everything applied so far included.</summary>
    ValueTask CheckpointAsync(PositionVector position, CancellationToken cancel);

    /// <summary>
    /// Whether <see cref="CheckpointAsync"/> may run beside <see cref="ApplyAsync"/>: for a view whose state takes long to
    /// write and stays right when it already holds readings beyond the position that is saved with it.
    /// </summary>
    bool SavesWhileApplying => false;

    /// <summary>Retention or damage took readings from this view before it read them.</summary>
    void OnLost(LostRange lost) { }
}
