using System.Text;
using Millrace.Core;
using Millrace.Testing;

namespace Millrace.Log.Tests.Simulation;

/// <summary>
/// A log's life of opening, appending, reading and dying in an order that a seed chooses, and the books of what must be
/// there. One step at a time, so that a seed always tells the same story.
/// </summary>
internal sealed class LogLife
{
    private readonly Random _random;
    private readonly SimulatedDisk _disk;
    private readonly ManualTime _time = new();
    private readonly LogOptions _options;
    private readonly Dictionary<LogPosition, (string Id, string Value)> _acknowledged = [];
    private readonly Dictionary<LogPosition, Stored> _seen = [];
    private readonly HashSet<string> _sent = [];
    private readonly RecordingLogger _story = new();
    private TestLog _log = null!;
    private int _number;

    public LogLife(ulong seed)
    {
        _random = new Random((int)(seed * 2654435761 % int.MaxValue));
        _disk = new SimulatedDisk(seed);
        _options = new LogOptions
        {
            Folder = "/sim/log",
            Partitions = 1 + _random.Next(5),
            SegmentBytes = 64 << 10,
            GroupBytes = 8 << 10,
            RingBytes = 64 << 10,
            ReserveBytes = 0,
            RetentionBytes = long.MaxValue,
            GroupWindow = TimeSpan.Zero,
            SegmentAge = TimeSpan.FromMinutes(10),
        };
    }

    public SimulatedDisk Disk => _disk;

    public async Task LiveAndDieAsync()
    {
        if (_random.Next(3) == 0)
            await DieWhileOpeningAsync();
        await OpenAndCheckAsync();

        var steps = _random.Next(60);
        if (_random.Next(2) == 0)
            _disk.DieAtOperation = 1 + _random.Next(150);
        for (var i = 0; i < steps && _log.Log.State != LogState.Failed; i++)
            await StepAsync();
        await EndAsync();
    }

    /// <summary>Opens what is there, and holds it against the books.</summary>
    public async Task OpenAndCheckAsync()
    {
        _log = await TestLog.OpenAsync(_options, _disk.NewProcess(), _time, _story);
        Assert.Empty(_log.Log.RecoveryLosses);
        var all = _log.ReadAll();
        var byPlace = all.ToDictionary(r => new LogPosition(r.Partition, r.Sequence));

        foreach (var (place, (id, value)) in _acknowledged)
            Assert.True(byPlace.TryGetValue(place, out var stored) && stored.Id == id && stored.Value == value, $"acknowledged {place} is not what was stored:\n{string.Join('\n', _story.Lines)}");
        foreach (var (place, stored) in _seen)
            Assert.True(byPlace.TryGetValue(place, out var again) && again == stored, $"{place} was shown to a reader and is gone:\n{string.Join('\n', _story.Lines)}");
        Assert.All(all, r => Assert.Contains(r.Value, _sent));
        Assert.Equal(all.Count, all.DistinctBy(r => r.Value).Count());
        Assert.All(all.Zip(all.Skip(1)), pair => Assert.True(pair.First.ReceivedAt < pair.Second.ReceivedAt));
        foreach (var partition in all.GroupBy(r => r.Partition))
            Assert.Equal(Enumerable.Range(0, partition.Count()).Select(i => (long)i), partition.Select(r => r.Sequence));
        Assert.Equal(all.Count, Enumerable.Range(0, _options.Partitions).Sum(p => _log.Log.Durable[p]));
        foreach (var stored in all)
            _seen[new LogPosition(stored.Partition, stored.Sequence)] = stored;
    }

    private async Task StepAsync()
    {
        switch (_random.Next(12))
        {
            case < 6:
                await FinishAsync(Start(NewBatch()));
                break;
            case < 8:
                await AppendTogetherAsync();
                break;
            case 8:
                _log.Appender.TryAppend(NewBatch().Batch);
                await QuietlyAsync(_log.Log.FlushAsync());
                break;
            case 9:
                Look();
                break;
            case 10:
                _disk.CapacityBytes = long.MaxValue / 4;
                _time.Advance(TimeSpan.FromSeconds(_random.Next(400)));
                await FinishAsync(Start(NewBatch())); // The writer does its housekeeping before it takes this one.
                break;
            default:
                if (_random.Next(8) == 0)
                    _disk.FlushesToFail = 1;
                if (_random.Next(4) == 0)
                    (_disk.CapacityBytes, _disk.PromisesRoom) = (_disk.Used + _random.Next(20_000), _random.Next(2) == 0);
                break;
        }
    }

    /// <summary>The first goes to the disk alone; the others meet in the groups behind it.</summary>
    private async Task AppendTogetherAsync()
    {
        var waiting = _disk.Pause();
        var batches = Enumerable.Range(0, 2 + _random.Next(8)).Select(_ => NewBatch()).ToList();
        var first = Start(batches[0]);
        await Task.WhenAny(first.Task, waiting); // A log that refuses does not write.
        List<Append> running = [first, .. batches.Skip(1).Select(Start)];
        _disk.Resume();
        foreach (var append in running)
            await FinishAsync(append);
    }

    private Append Start((ReadingBatch Batch, List<(string Id, string Value)> Readings) batch) =>
        new(batch.Batch, batch.Readings, _log.Appender.AppendAsync(batch.Batch, CancellationToken.None).AsTask());

    private async Task FinishAsync(Append append)
    {
        var stored = await QuietlyAsync(append.Task);
        _story.Note($"{(stored ? "acknowledged" : "refused")} {append.Batch.PositionOf(0)} and {append.Batch.Count - 1} more");
        if (!stored)
            return;
        for (var i = 0; i < append.Readings.Count; i++)
            Assert.True(_acknowledged.TryAdd(append.Batch.PositionOf(i), append.Readings[i]), $"{append.Batch.PositionOf(i)} was given twice");
    }

    private sealed record Append(ReadingBatch Batch, List<(string Id, string Value)> Readings, Task Task);

    private static async Task<bool> QuietlyAsync(Task task)
    {
        try
        {
            await task.WaitAsync(TimeSpan.FromSeconds(60));
            return true;
        }
        catch (LogUnavailableException)
        {
            return false;
        }
    }

    private (ReadingBatch Batch, List<(string Id, string Value)> Readings) NewBatch()
    {
        List<(string, string)> readings = [];
        var count = _random.Next(5) == 0 ? 1 + _random.Next(200) : 1 + _random.Next(4);
        for (var i = 0; i < count; i++)
        {
            var value = new StringBuilder($"r{_number++}:").Append('x', _random.Next(20) == 0 ? _random.Next(6000) : _random.Next(80)).ToString();
            _sent.Add(value);
            readings.Add(($"m{_random.Next(50)}", value));
        }

        return (_log.Batch([.. readings]), readings);
    }

    private void Look()
    {
        var from = new PositionVector(_options.Partitions);
        var durable = _log.Log.Durable;
        for (var p = 0; p < from.Count; p++)
            from[p] = _random.NextInt64(durable[p] + 1);
        try
        {
            foreach (var stored in _log.ReadFrom(from))
                _seen[new LogPosition(stored.Partition, stored.Sequence)] = stored;
        }
        catch (SimulatedDeathException)
        {
            // The process died; what it read before counts.
        }
    }

    private async Task DieWhileOpeningAsync()
    {
        _disk.DieAtOperation = 1 + _random.Next(12);
        try
        {
            _log = await TestLog.OpenAsync(_options, _disk.NewProcess(), _time, _story);
            _disk.DieAtOperation = 0;
        }
        catch (IOException)
        {
            _log = null!;
        }

        await EndAsync();
    }

    private async Task EndAsync()
    {
        // A clean end waits for the writer; after a death it only ends the threads, for the disk no longer listens.
        if (_log is not null && _random.Next(4) == 0)
            await _log.DisposeAsync();
        if (_random.Next(2) == 0)
            _disk.LosePower();
        else
            _disk.Kill();
        _story.Note("dead");
        if (_log is not null)
            await _log.DisposeAsync();
        if (_random.Next(3) == 0)
            _time.Set(_time.GetUtcNow().AddMinutes(_random.Next(-30, 30)));
    }
}
