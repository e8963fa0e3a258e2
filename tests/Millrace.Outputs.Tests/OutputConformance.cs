using System.Text;
using Microsoft.Extensions.Logging.Abstractions;
using Millrace.Outputs.Delivery;
using Millrace.Testing;

namespace Millrace.Outputs.Tests;

/// <summary>A real target for the conformance suite: makes outputs that write to it, and tells what it holds.</summary>
public abstract class OutputTarget : IAsyncDisposable
{
    /// <summary>Who writes: changed by tests of two servers.</summary>
    public Lineage Lineage { get; set; } = Lineage.None;

    public OutputSource Source => new("leaks", "alarms") { Lineage = Lineage };

    public TempFolder Folder { get; } = new();

    public abstract IOutput Create();

    /// <summary>The numbers (column n) of the rows the target holds, in its order, repeats by the target's own key left out.</summary>
    public abstract Task<IReadOnlyList<long>> HeldAsync();

    public virtual ValueTask DisposeAsync()
    {
        Folder.Dispose();
        GC.SuppressFinalize(this);
        return ValueTask.CompletedTask;
    }
}

/// <summary>What every output must keep, whatever happens: no row missing, none twice, a failing target only lags.</summary>
public abstract class OutputConformance
{
    private static readonly RetryPolicy Quick = new()
    {
        First = TimeSpan.FromMilliseconds(1),
        Max = TimeSpan.FromMilliseconds(4),
        AfterRefusal = TimeSpan.FromMilliseconds(4),
        RetryAfterMax = TimeSpan.FromMilliseconds(4),
    };

    public static TheoryData<int> Seeds => [.. Enumerable.Range(1, 8)];

    /// <summary>A fresh target; skips the test when its server is not there.</summary>
    protected abstract Task<OutputTarget> StartAsync();

    [Fact]
    public async Task Rows_arrive_once_and_in_order()
    {
        await using var target = await StartAsync();

        await using (var run = Run.Open(target))
        {
            run.Make(0, 60);
            run.Snapshot();
            await run.DeliveredAllAsync();
        }

        Assert.Equal(Numbers(60), await target.HeldAsync());
    }

    [Fact]
    public async Task Failures_before_and_after_an_append_lose_and_repeat_nothing()
    {
        await using var target = await StartAsync();

        await using (var run = Run.Open(target, new Faults(7) { FailBefore = 0.3, FailAfter = 0.3 }))
        {
            run.Make(0, 60);
            await run.DeliveredAllAsync();
        }

        Assert.Equal(Numbers(60), await target.HeldAsync());
    }

    [Theory, MemberData(nameof(Seeds))]
    public async Task Killed_anywhere_and_replayed_nothing_is_missing_and_nothing_twice(int seed)
    {
        await using var target = await StartAsync();
        var random = new Random(seed);
        var snapshot = 0;
        for (var life = 0; life < 6; life++)
        {
            await using var run = Run.Open(target, new Faults(seed + life) { FailBefore = 0.1, FailAfter = 0.2 });
            var made = snapshot;
            for (var step = 0; step < 4; step++)
            {
                run.Make(made, made += random.Next(1, 12));
                if (random.Next(3) == 0)
                {
                    run.Snapshot();
                    snapshot = made;
                }
            }

            if (random.Next(2) == 0)
                await run.DeliveredSomeAsync();
            await run.KillAsync(random);
        }

        await using (var last = Run.Open(target))
        {
            last.Make(snapshot, 200);
            last.Snapshot();
            await last.DeliveredAllAsync();
        }

        Assert.Equal(Numbers(200), await target.HeldAsync());
    }

    [Fact]
    public async Task An_edited_job_goes_on_with_new_row_numbers()
    {
        await using var target = await StartAsync();
        await using (var run = Run.Open(target))
        {
            run.Make(0, 20);
            await run.DeliveredAllAsync();
        }

        await using (var run = Run.Open(target, version: 2, firstNumber: 20))
        {
            run.Make(0, 20);
            await run.DeliveredAllAsync();
        }

        Assert.Equal(Numbers(40), await target.HeldAsync());
    }

    [Fact]
    public async Task A_target_that_tells_what_it_holds_takes_no_row_twice_and_never_goes_back()
    {
        await using var target = await StartAsync();
        RowId before;
        await using (var output = target.Create())
        {
            if (!output.KeepsBooks)
                return;
            await output.OpenAsync(default);
            await output.AppendAsync(Rows(0, 10), default);
            await output.AppendAsync(Rows(3, 6), default);
            await output.AppendAsync(Rows(8, 12), default);
            before = await output.OpenAsync(default);
        }

        Assert.Equal(new RowId(1, 11), before);
        Assert.Equal(Numbers(12), await target.HeldAsync());

        static List<OutputRow> Rows(int from, int to) =>
            [.. Enumerable.Range(from, to - from).Select(n => new OutputRow(new RowId(1, n), 1_767_225_600_000_000 + n, Encoding.UTF8.GetBytes($$"""{"n":{{n}}}""")))];
    }

    [Fact]
    public async Task Rows_of_another_server_or_of_after_the_backup_are_refused_and_left_alone()
    {
        await using var target = await StartAsync();
        await using (var unnamed = target.Create())
        {
            await unnamed.OpenAsync(default);
            await unnamed.AppendAsync(Rows(1, 0, 2), default);
            if (await unnamed.OpenAsync(default) == RowId.None)
                return;
        }

        var (ours, other, restored) = (new Incarnation("aaaa", 1), new Incarnation("bbbb", 1), new Incarnation("cccc", 2));
        // What an earlier release wrote is taken for this job's.
        await AppendAsync(new Lineage([ours], 1), Rows(1, 2, 4));
        await RefusedAsync(new Lineage([other], 1));
        await RefusedAsync(new Lineage([other], 7));
        await AppendAsync(new Lineage([ours], 2), Rows(2, 4, 6));
        // A backup of version 1 was restored, and knows nothing of the second; or went on as one of its own.
        await RefusedAsync(new Lineage([ours], 1));
        await RefusedAsync(new Lineage([ours, restored], 2));
        await AppendAsync(new Lineage([ours, restored with { FromVersion = 3 }], 3), Rows(3, 6, 8));

        Assert.Equal(Numbers(8), await target.HeldAsync());

        async Task AppendAsync(Lineage lineage, List<OutputRow> rows)
        {
            target.Lineage = lineage;
            await using var output = target.Create();
            await output.OpenAsync(default);
            await output.AppendAsync(rows, default);
        }

        async Task RefusedAsync(Lineage lineage)
        {
            target.Lineage = lineage;
            await using var output = target.Create();
            var error = await Assert.ThrowsAsync<OutputException>(async () => await output.OpenAsync(default));
            Assert.True(error.Refused);
            Assert.Contains("another server", error.Message);
        }

        static List<OutputRow> Rows(int version, int from, int to) =>
            [.. Enumerable.Range(from, to - from).Select(n => new OutputRow(new RowId(version, n), 1_767_225_600_000_000 + n, Encoding.UTF8.GetBytes($$"""{"n":{{n}}}""")))];
    }

    private static IEnumerable<long> Numbers(int count) => Enumerable.Range(0, count).Select(n => (long)n);

    /// <summary>Fails appends by a seeded draw, before the target sees them or after it took them.</summary>
    private protected sealed class Faults(int seed)
    {
        private readonly Random _random = new(seed);

        public double FailBefore { get; init; }

        public double FailAfter { get; init; }

        public bool Before() => _random.NextDouble() < FailBefore;

        public bool After() => _random.NextDouble() < FailAfter;
    }

    private sealed class FaultyOutput(IOutput inner, Faults? faults) : IOutput
    {
        public string Kind => inner.Kind;

        public bool KeepsBooks => inner.KeepsBooks;

        public OutputBatching Batching => new(7, 1 << 20, TimeSpan.Zero);

        public ValueTask<RowId> OpenAsync(CancellationToken cancel) => inner.OpenAsync(cancel);

        public async ValueTask AppendAsync(IReadOnlyList<OutputRow> rows, CancellationToken cancel)
        {
            if (faults?.Before() == true)
                throw new OutputException("failed before the append");
            await inner.AppendAsync(rows, cancel);
            if (faults?.After() == true)
                throw new OutputException("the answer was lost");
        }

        public ValueTask IdleAsync(CancellationToken cancel) => inner.IdleAsync(cancel);

        public ValueTask DisposeAsync() => inner.DisposeAsync();
    }

    /// <summary>One life of the process: an outbox, a pump and the output behind it.</summary>
    private sealed class Run : IAsyncDisposable
    {
        private readonly CancellationTokenSource _stop = new();
        private readonly string _folder;
        private readonly Outbox _outbox;
        private readonly OutputPump _pump;
        private readonly Task _pumping;
        private readonly int _version;
        private readonly int _firstNumber;
        private readonly TaskCompletionSource _some = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private TaskCompletionSource _progress = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private long _flushedBytes;

        private Run(OutputTarget target, Faults? faults, int version, int firstNumber)
        {
            (_version, _firstNumber) = (version, firstNumber);
            _folder = target.Folder["outbox"];
            _outbox = Outbox.Open(_folder);
            _pump = new OutputPump(
                target.Source, new FaultyOutput(target.Create(), faults), _outbox, target.Folder["books.json"], TimeProvider.System,
                NullLogger.Instance, Quick, new Random(1));
            _pump.Advanced += _ =>
            {
                _some.TrySetResult();
                Interlocked.Exchange(ref _progress, new(TaskCreationOptions.RunContinuationsAsynchronously)).SetResult();
            };
            _flushedBytes = Bytes();
            _pumping = _pump.RunAsync(_stop.Token);
        }

        public static Run Open(OutputTarget target, Faults? faults = null, int version = 1, int firstNumber = 0) =>
            new(target, faults, version, firstNumber);

        /// <summary>What the job does: makes rows, some of them for the second time.</summary>
        public void Make(int from, int to)
        {
            for (var row = from; row < to; row++)
            {
                var n = row + _firstNumber;
                _outbox.Append(new RowId(_version, row), 1_767_225_600_000_000 + n, Encoding.UTF8.GetBytes(
                    $$$"""{"n":{{{n}}},"name":"Zähler, \"{{{n}}}\"","flow":{{{n}}}.5,"open":true,"where":{"street":{{{n}}}},"note":null}"""));
            }

            _outbox.Publish();
        }

        public void Snapshot()
        {
            _outbox.Flush();
            _flushedBytes = Bytes();
        }

        public Task DeliveredSomeAsync() => _outbox.PendingRows == 0 ? Task.CompletedTask : _some.Task.WaitAsync(TimeSpan.FromSeconds(60));

        public async Task DeliveredAllAsync()
        {
            while (true)
            {
                var progress = Volatile.Read(ref _progress).Task;
                if (_outbox.PendingRows == 0)
                    return;
                await progress.WaitAsync(TimeSpan.FromSeconds(60));
            }
        }

        /// <summary>Stops without saying goodbye, and loses some of what was not flushed.</summary>
        public async Task KillAsync(Random random)
        {
            await StopAsync();
            var newest = Directory.GetFiles(_folder, "*.rows").Order(StringComparer.Ordinal).LastOrDefault();
            if (newest is null)
                return;
            var length = new FileInfo(newest).Length;
            using var file = new FileStream(newest, FileMode.Open);
            file.SetLength(length - random.NextInt64(0, Math.Max(1, length - Math.Min(length, _flushedBytes))));
        }

        public async ValueTask DisposeAsync()
        {
            await StopAsync();
            _stop.Dispose();
        }

        private async Task StopAsync()
        {
            await _stop.CancelAsync();
            await _pumping;
            await _pump.DisposeAsync();
            _outbox.Dispose();
        }

        private long Bytes() => Directory.GetFiles(_folder, "*.rows").Order(StringComparer.Ordinal).Select(f => new FileInfo(f).Length).LastOrDefault();
    }
}
