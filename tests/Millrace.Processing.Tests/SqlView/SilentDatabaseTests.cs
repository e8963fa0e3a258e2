using System.Buffers;
using Microsoft.Extensions.Logging.Abstractions;
using Millrace.Core;
using Millrace.Processing.SqlView;
using Millrace.Testing;

namespace Millrace.Processing.Tests.SqlView;

/// <summary>A database behind which nobody answers: neither a yes nor a no, until the driver's own limit.</summary>
public sealed class SilentDatabaseTests
{
    private static readonly TimeSpan FarTooLong = TimeSpan.FromSeconds(30);

    [Fact]
    public async Task A_database_that_does_not_answer_does_not_keep_the_view_from_stopping()
    {
        using var folder = new TempFolder();
        using var table = new SilentTable();

        await LeaveWhileOpeningAsync(ViewOf(table, folder), table);

        Assert.Equal(1, table.Calls);
    }

    [Fact]
    public async Task Work_that_was_left_behind_is_waited_for_before_the_next_begins()
    {
        using var folder = new TempFolder();
        using var table = new SilentTable();
        var view = ViewOf(table, folder);
        await LeaveWhileOpeningAsync(view, table);

        var second = view.OpenAsync(new MemoryLog(), CancellationToken.None).AsTask();
        table.Answer();
        await second.WaitAsync(FarTooLong);

        Assert.Equal((2, 1), (table.Calls, table.AtOnceMost));
    }

    private static SqlValueView ViewOf(SilentTable table, TempFolder folder) => new(
        table, new NothingKnown(), () => ["meter"u8.ToArray()], () => null, folder["sql.json"], 2, TimeProvider.System, NullLogger.Instance);

    /// <summary>Gives up opening once the database was asked; that alone must end it.</summary>
    private static async Task LeaveWhileOpeningAsync(SqlValueView view, SilentTable table)
    {
        using var leaving = new CancellationTokenSource();
        var opening = view.OpenAsync(new MemoryLog(), leaving.Token).AsTask();
        await table.Asked.WaitAsync(FarTooLong);
        await leaving.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => opening.WaitAsync(FarTooLong));
    }

    private sealed class SilentTable : ISqlValueTable, IDisposable
    {
        private readonly ManualResetEventSlim _answers = new();
        private readonly TaskCompletionSource _asked = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private readonly Lock _gate = new();
        private int _atOnce;

        public string Target => "silent";

        public Task Asked => _asked.Task;

        public int Calls { get; private set; }

        public int AtOnceMost { get; private set; }

        public void Answer() => _answers.Set();

        public void Prepare()
        {
            lock (_gate)
                (Calls, AtOnceMost) = (Calls + 1, Math.Max(AtOnceMost, ++_atOnce));
            _asked.TrySetResult();
            _answers.Wait();
            lock (_gate)
                _atOnce--;
        }

        public ISqlValueWriter OpenWriter() => throw new NotSupportedException("No row is expected.");

        public bool IsRowFault(Exception failure) => false;

        public void Dispose() => _answers.Set();
    }

    private sealed class NothingKnown : ILatestReadings
    {
        public PositionVector Position { get; } = new(4);

        public bool TryRead(ushort tenant, ReadOnlySpan<byte> id, IBufferWriter<byte> record, out ReadingPlace place)
        {
            place = default;
            return false;
        }

        public ValueTask<bool> ReachAsync(int partition, long next, TimeSpan limit, CancellationToken cancel) => ValueTask.FromResult(true);
    }
}
