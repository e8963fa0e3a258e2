using Microsoft.Extensions.Logging;
using Millrace.Core;

namespace Millrace.Outputs.Delivery;

/// <summary>
/// Brings the rows of one outbox to one output, batch by batch, for as long as it takes. It never gives a row up: a failing
/// target makes it wait and try again, and the outbox grow.
/// </summary>
public sealed class OutputPump : IAsyncDisposable
{
    private static readonly TimeSpan IdlePeriod = TimeSpan.FromSeconds(1);

    private readonly OutputSource _source;
    private readonly IOutput _output;
    private readonly Outbox _outbox;
    private readonly DeliveryLedger _ledger;
    private readonly RetryPolicy _retry;
    private readonly TimeProvider _time;
    private readonly ILogger _log;
    private readonly Random _random;
    private int _failures;
    private bool _draining;
    private OutputStatus _status;

    /// <param name="outbox">Stays the caller's; disposed after the pump.</param>
    /// <param name="ledgerPath">Where the books of a target that cannot tell are kept.</param>
    public OutputPump(
        OutputSource source, IOutput output, Outbox outbox, string ledgerPath, TimeProvider time, ILogger log,
        RetryPolicy? retry = null, Random? random = null)
    {
        _source = source;
        _output = output;
        _outbox = outbox;
        _ledger = DeliveryLedger.Load(ledgerPath);
        _retry = retry ?? new RetryPolicy();
        _time = time;
        _log = log;
        _random = random ?? Random.Shared;
        _status = new OutputStatus(output.Kind, OutputState.Opening, _ledger.Held, 0, 0, 0, null, null, null);
    }

    /// <summary>How the output is doing now. Thread-safe.</summary>
    public OutputStatus Status =>
        Volatile.Read(ref _status) with { PendingRows = _outbox.PendingRows, PendingBytes = _outbox.PendingBytes };

    /// <summary>Raised with the highest row the target is known to hold, whenever that was found out.</summary>
    public event Action<RowId>? Advanced;

    /// <summary>Delivers until <paramref name="stopping"/> fires; a batch under way is abandoned then, and comes again later.</summary>
    public async Task RunAsync(CancellationToken stopping)
    {
        var open = false;
        while (!stopping.IsCancellationRequested)
        {
            try
            {
                if (!open)
                    await OpenAsync(stopping);
                open = true;
                await DeliverNextAsync(stopping);
            }
            catch (OperationCanceledException) when (stopping.IsCancellationRequested)
            {
                break;
            }
            catch (Exception e)
            {
                open = false;
                await WaitAfterAsync(e, stopping);
            }
        }

        Set(Volatile.Read(ref _status) with { State = OutputState.Stopped, NextAttemptAt = null });
    }

    /// <summary>Delivers the rows that wait, to which none are added, until all are taken or the time is over.</summary>
    public async Task DrainAsync(TimeSpan max, CancellationToken cancel)
    {
        if (_outbox.PendingRows == 0)
            return;
        _draining = true;
        using var over = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        await using var timer = _time.CreateTimer(static source => ((CancellationTokenSource)source!).Cancel(), over, max, Timeout.InfiniteTimeSpan);
        Advanced += _ =>
        {
            if (_outbox.PendingRows == 0)
                over.Cancel();
        };
        await RunAsync(over.Token);
    }

    public ValueTask DisposeAsync() => _output.DisposeAsync();

    private async ValueTask OpenAsync(CancellationToken cancel)
    {
        var held = await _output.OpenAsync(cancel);
        if (!_output.KeepsBooks)
        {
            if (_ledger.Open is { } begun && begun.Last <= held)
                _ledger.Finish(begun.Last);
            held = held > _ledger.Held ? held : _ledger.Held;
        }

        // What another target took before an edit is delivered, too.
        if (_outbox.Released > held)
            held = _outbox.Released;
        _outbox.Release(held);
        Set(Volatile.Read(ref _status) with { Held = held });
        Advanced?.Invoke(held);
    }

    private async ValueTask DeliverNextAsync(CancellationToken cancel)
    {
        var rows = await NextBatchAsync(cancel);
        if (rows.Count == 0)
        {
            await _output.IdleAsync(cancel);
            if (_failures == 0)
                Set(Volatile.Read(ref _status) with { State = OutputState.Delivering });
            return;
        }

        if (!_output.KeepsBooks && _ledger.Open is null)
            _ledger.Begin(rows[0].Id, rows[^1].Id);
        await _output.AppendAsync(rows, cancel);
        if (!_output.KeepsBooks)
            _ledger.Finish(rows[^1].Id);
        _outbox.Release(rows[^1].Id);
        if (_failures > 0)
            OutputsLog.Recovered(_log, _source, _output.Kind, _failures);
        _failures = 0;
        Set(Volatile.Read(ref _status) with { State = OutputState.Delivering, Held = rows[^1].Id, Failures = 0, NextAttemptAt = null });
        Advanced?.Invoke(rows[^1].Id);
    }

    /// <summary>The next batch to send, or none when nothing came for a while.</summary>
    private async ValueTask<List<OutputRow>> NextBatchAsync(CancellationToken cancel)
    {
        if (!_output.KeepsBooks && _ledger.Open is { } begun)
            return await BegunBatchAsync(begun.First, begun.Last, cancel);

        var batching = _output.Batching;
        var rows = _outbox.Peek(batching.RowsMax, batching.BytesMax);
        if (rows.Count == 0)
        {
            if (!await WaitForRowsAsync(IdlePeriod, cancel))
                return [];
            rows = _outbox.Peek(batching.RowsMax, batching.BytesMax);
        }

        if (rows.Count == 0 || rows.Count >= batching.RowsMax || batching.Linger <= TimeSpan.Zero || _draining)
            return rows;

        var until = _time.GetTimestamp();
        while (_time.GetElapsedTime(until) is var waited && waited < batching.Linger)
        {
            if (!await WaitForRowsAsync(batching.Linger - waited, cancel))
                break;
            rows = _outbox.Peek(batching.RowsMax, batching.BytesMax);
            if (rows.Count >= batching.RowsMax || rows.Sum(r => (long)r.Json.Length) >= batching.BytesMax / 2)
                break;
        }

        return _outbox.Peek(batching.RowsMax, batching.BytesMax);
    }

    /// <summary>Exactly the rows of a batch that was recorded earlier; waits until the job has made them again after a crash.</summary>
    private async ValueTask<List<OutputRow>> BegunBatchAsync(RowId first, RowId last, CancellationToken cancel)
    {
        var rows = _outbox.Peek((int)(last.Row - first.Row + 1), int.MaxValue);
        if (rows.Count == 0 || rows[^1].Id < last)
        {
            await WaitForRowsAsync(IdlePeriod, cancel);
            return [];
        }

        var end = rows.FindIndex(r => r.Id == last);
        if (end >= 0 && rows[0].Id == first)
            return rows[..(end + 1)];

        // The recorded rows are not what the outbox holds: somebody removed files. Say so and begin with what there is.
        OutputsLog.BatchGone(_log, _source, first, last);
        _ledger.Finish(rows[0].Id.Row > 0 ? rows[0].Id with { Row = rows[0].Id.Row - 1 } : _ledger.Held);
        return [];
    }

    private async ValueTask<bool> WaitForRowsAsync(TimeSpan limit, CancellationToken cancel)
    {
        using var either = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        await using var timer = _time.CreateTimer(
            static source => ((CancellationTokenSource)source!).Cancel(), either, limit, Timeout.InfiniteTimeSpan);
        try
        {
            await _outbox.WaitForRowsAsync(either.Token);
            return true;
        }
        catch (OperationCanceledException) when (!cancel.IsCancellationRequested)
        {
            return false;
        }
    }

    private async ValueTask WaitAfterAsync(Exception error, CancellationToken cancel)
    {
        _failures++;
        var known = error as OutputException;
        var delay = _retry.Delay(_failures, known, _random.NextDouble());
        var refused = known?.Refused == true;
        var message = known is null ? $"{error.GetType().Name}: {error.Message}" : error.Message;
        Set(Volatile.Read(ref _status) with
        {
            State = refused ? OutputState.Refused : OutputState.Retrying,
            Failures = _failures,
            FailuresInAll = Volatile.Read(ref _status).FailuresInAll + 1,
            LastError = message,
            LastErrorAt = _time.Now(),
            NextAttemptAt = _time.Now() + (long)delay.TotalMicroseconds,
        });
        // One line when the trouble begins, then at each doubling: a dead target must not fill the server's log.
        if (System.Numerics.BitOperations.IsPow2(_failures))
            OutputsLog.Failed(_log, _source, _output.Kind, _failures, delay.TotalSeconds, message, known is null ? error : null);
        try
        {
            await Task.Delay(delay, _time, cancel);
        }
        catch (OperationCanceledException)
        {
            // Stopping; the loop sees it.
        }
    }

    private void Set(OutputStatus status) => Volatile.Write(ref _status, status);
}
