using System.Text;
using Millrace.Outputs.Delivery;
using Millrace.Testing;

namespace Millrace.Outputs.Tests.Delivery;

public sealed class OutboxTests : IDisposable
{
    private readonly TempFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void A_row_is_taken_once()
    {
        using var box = Outbox.Open(_folder["o"]);

        Assert.True(box.Append(new RowId(1, 0), 0, "{}"u8));
        Assert.False(box.Append(new RowId(1, 0), 0, "{}"u8));
        box.Publish();

        Assert.Single(box.Peek(10, 1000));
    }

    [Fact]
    public void Rows_outlive_the_process_and_segments_go_when_delivered()
    {
        using (var box = Outbox.Open(_folder["o"], segmentBytes: 200))
        {
            for (var i = 0; i < 50; i++)
            {
                Put(box, i);
                box.Publish();
            }
        }

        using var again = Outbox.Open(_folder["o"], segmentBytes: 200);
        var files = Directory.GetFiles(_folder["o"]).Length;
        again.Release(new RowId(1, 39));

        Assert.True(files > 5);
        Assert.Equal(10, again.PendingRows);
        Assert.Equal(new RowId(1, 40), again.Peek(1, 1000)[0].Id);
        Assert.True(Directory.GetFiles(_folder["o"]).Length < files);
        again.Release(new RowId(1, 49));
        Assert.Equal((0L, 0L), (again.PendingRows, again.PendingBytes));
    }

    [Fact]
    public void A_torn_or_damaged_tail_is_cut_wherever_it_is_torn()
    {
        using (var box = Outbox.Open(_folder["o"]))
        {
            for (var i = 0; i < 5; i++)
                Put(box, i);
            box.Publish();
        }

        var path = Directory.GetFiles(_folder["o"]).Single();
        var whole = File.ReadAllBytes(path);
        for (var length = 0; length < whole.Length; length++)
        {
            File.WriteAllBytes(path, whole[..length]);
            using var box = Outbox.Open(_folder["o"]);
            var held = box.Peek(100, 10000);
            Assert.Equal(Enumerable.Range(0, held.Count).Select(i => (long)i), held.Select(r => r.Id.Row));
            Assert.True(held.Count < 5);
            for (var i = 0; i < 5; i++)
                Put(box, i);
            box.Publish();
            Assert.Equal(5, box.Peek(100, 10000).Count);
        }
    }

    [Fact]
    public async Task A_full_outbox_holds_the_job_until_rows_are_delivered()
    {
        using var box = Outbox.Open(_folder["o"], bytesMax: 100);
        for (var i = 0; i < 10; i++)
            Put(box, i);
        box.Publish();

        var waiting = box.WaitForRoomAsync(default).AsTask();
        var waited = !waiting.IsCompleted;
        box.Release(new RowId(1, 9));
        await waiting.WaitAsync(TimeSpan.FromSeconds(30));

        Assert.True(waited);
        Assert.True(box.HasRoom);
    }

    [Fact]
    public void A_batch_never_spans_two_versions()
    {
        using var box = Outbox.Open(_folder["o"]);
        Put(box, 0);
        box.Append(new RowId(2, 0), 0, "{}"u8);
        box.Publish();

        Assert.Equal(new RowId(1, 0), Assert.Single(box.Peek(100, 10000)).Id);
    }

    [Fact]
    public void What_one_target_took_is_not_offered_to_another_after_the_outbox_was_closed()
    {
        using (var box = Outbox.Open(_folder["o"]))
        {
            for (var i = 0; i < 10; i++)
                Put(box, i);
            box.Publish();
            box.Release(new RowId(1, 6));
        }

        using var again = Outbox.Open(_folder["o"]);

        Assert.Equal((3L, new RowId(1, 6), new RowId(1, 9)), (again.PendingRows, again.Released, again.Highest));
        Assert.Equal([7L, 8, 9], again.Peek(100, 10000).Select(r => r.Id.Row));
    }

    [Theory]
    [InlineData("")]
    [InlineData("{\"Format\":1,")]
    [InlineData("{\"Format\":9,\"Version\":1,\"Row\":9}")]
    public void A_mark_that_cannot_be_read_costs_repeats_and_no_row(string mark)
    {
        using (var box = Outbox.Open(_folder["o"]))
        {
            Put(box, 0);
            box.Flush();
            box.Release(new RowId(1, 0));
        }

        File.WriteAllText(_folder["o/released.json"], mark);
        using var again = Outbox.Open(_folder["o"]);

        Assert.Single(again.Peek(100, 10000));
    }

    [Fact]
    public void Rows_made_again_before_the_target_told_that_it_holds_them_are_not_sent_again()
    {
        // After a power cut the target can be ahead of the outbox, whose tail is gone.
        using var box = Outbox.Open(_folder["o"]);
        for (var i = 0; i < 4; i++)
            Put(box, i);
        box.Publish();
        for (var i = 4; i < 8; i++)
            Put(box, i);
        box.Release(new RowId(1, 5));
        box.Publish();

        Assert.Equal([6L, 7], box.Peek(100, 10000).Select(r => r.Id.Row));
        Assert.Equal(2, box.PendingRows);
    }

    [Fact]
    public void Delays_double_up_to_the_bound_and_hear_retry_after()
    {
        var policy = new RetryPolicy();

        Assert.Equal([1.0, 2, 4, 8, 16, 32, 64, 64], Enumerable.Range(1, 8).Select(n => Math.Round(policy.Delay(n, null, 1).TotalSeconds, 6)));
        Assert.Equal(0.5, policy.Delay(1, null, 0).TotalSeconds);
        Assert.Equal(300, policy.Delay(1, new OutputException("x", refused: true), 1).TotalSeconds);
        Assert.Equal(120, policy.Delay(1, new OutputException("x", retryAfter: TimeSpan.FromSeconds(120)), 1).TotalSeconds);
        Assert.Equal(3600, policy.Delay(1, new OutputException("x", retryAfter: TimeSpan.FromDays(9)), 1).TotalSeconds);
    }

    private static void Put(Outbox box, int row) => box.Append(new RowId(1, row), row, Encoding.UTF8.GetBytes($$"""{"n":{{row}}}"""));
}
