using System.Buffers;
using System.Globalization;
using System.Text.Json;
using System.Threading.Channels;
using Microsoft.Extensions.Logging;
using Millrace.Core;

namespace Millrace.Processing.DeadLetters;

/// <summary>
/// Dead letters as JSON lines in files below one folder (docs/formats/dead-letters.md). Keeping one never blocks: a
/// bounded queue feeds one writer, and what does not fit is counted in <see cref="NotKept"/>. The oldest file goes when
/// the total exceeds its bound. Thread-safe.
/// </summary>
public sealed class DeadLetterStore : IDeadLetters, IAsyncDisposable
{
    /// <summary>More of a payload than this helps nobody to see what is wrong with it.</summary>
    public const int PayloadBytesMax = 64 << 10;

    private const int QueueLength = 4096;
    private const string FilePattern = "*.jsonl";

    private readonly Lock _filesGate = new();
    private readonly Channel<Work> _queue = Channel.CreateBounded<Work>(
        new BoundedChannelOptions(QueueLength) { SingleReader = true, FullMode = BoundedChannelFullMode.Wait });

    private readonly string _folder;
    private readonly long _fileBytes;
    private readonly long _totalBytes;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly Task _writing;
    private readonly HashSet<long> _removed = [];
    private long _lastNumber;
    private long _notKept;
    private long _queuedBytes;

    /// <summary>A letter to write, the number of one to take out, or somebody who waits until all before is in the files.</summary>
    private readonly record struct Work(DeadLetter? Letter, long Removed, TaskCompletionSource? Drained);

    /// <param name="fileBytes">Size at which a file is closed and the next begun.</param>
    /// <param name="totalBytes">Bound over all files.</param>
    public DeadLetterStore(string folder, TimeProvider time, ILogger logger, long fileBytes = 4 << 20, long totalBytes = 64 << 20)
    {
        (_folder, _time, _logger, _fileBytes, _totalBytes) = (folder, time, logger, fileBytes, totalBytes);
        Directory.CreateDirectory(folder);
        _lastNumber = LastNumberOnDisk();
        ReadRemoved();
        _writing = WriteAllAsync();
    }

    /// <summary>Letters that were counted as rejected but whose bytes could not be kept: they came too fast, or the disk refused.</summary>
    public long NotKept => Interlocked.Read(ref _notKept);

    public void Keep(ListenerId listener, RejectReason reason, ushort tenant, string? device, string? detail, ReadOnlySpan<byte> payload) =>
        Enqueue(listener.Name(), reason.Name(), tenant, device, null, detail, payload);

    /// <summary>Keeps an event that a job could not take.</summary>
    public void KeepForJob(string job, string reason, ushort tenant, string? device, string? detail, ReadOnlySpan<byte> payload) =>
        Enqueue(null, reason, tenant, device, job, detail, payload);

    /// <summary>A page of letters, newest first. Reads at most the files of this store, which are bounded.</summary>
    public IReadOnlyList<DeadLetter> List(DeadLetterQuery query)
    {
        List<DeadLetter> page = [];
        foreach (var file in FilesNewestFirst())
        {
            if (query.After is { } after && FirstNumberOf(file) >= after)
                continue;
            foreach (var letter in Enumerable.Reverse(ReadFile(file)))
            {
                if (Matches(letter, query))
                    page.Add(letter);
                if (page.Count >= query.Limit)
                    return page;
            }
        }

        return page;
    }

    /// <summary>The letter of a number, or null when it is unknown or gone.</summary>
    public DeadLetter? Find(long number) =>
        FilesNewestFirst().FirstOrDefault(file => FirstNumberOf(file) <= number) is { } file
            ? ReadFile(file).FirstOrDefault(letter => letter.Number == number && !IsRemoved(number))
            : null;

    /// <summary>Takes a letter out, after it was driven again; false when it is unknown or gone.</summary>
    public async ValueTask<bool> RemoveAsync(ushort tenant, long number, CancellationToken cancel)
    {
        if (Find(number) is not { } letter || letter.Tenant != tenant)
            return false;
        lock (_removed)
        {
            if (!_removed.Add(number))
                return false;
        }

        await _queue.Writer.WriteAsync(new Work(null, number, null), cancel);
        return true;
    }

    /// <summary>Completes when everything kept so far is in the files.</summary>
    public async Task DrainAsync(CancellationToken cancel)
    {
        var drained = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await _queue.Writer.WriteAsync(new Work(null, 0, drained), cancel);
        await drained.Task.WaitAsync(cancel);
    }

    /// <summary>Writes what is queued and closes the files.</summary>
    public async ValueTask DisposeAsync()
    {
        _queue.Writer.TryComplete();
        await _writing;
    }

    private void Enqueue(
        string? listener, string reason, ushort tenant, string? device, string? job, string? detail, ReadOnlySpan<byte> payload)
    {
        var kept = payload[..Math.Min(payload.Length, PayloadBytesMax)].ToArray();
        // Numbers are dense in the order of the queue, so taking one and queueing is one step.
        lock (_queue)
        {
            var letter = new DeadLetter(
                _lastNumber + 1, _time.Now(), listener, reason, tenant, device, job, detail, kept, payload.Length);
            if (Interlocked.Read(ref _queuedBytes) > _fileBytes || !_queue.Writer.TryWrite(new Work(letter, 0, null)))
            {
                Interlocked.Increment(ref _notKept);
                return;
            }

            Interlocked.Increment(ref _lastNumber);
            Interlocked.Add(ref _queuedBytes, kept.Length);
        }
    }

    private async Task WriteAllAsync()
    {
        await Task.Yield();
        FileStream? file = null;
        try
        {
            while (await _queue.Reader.WaitToReadAsync())
            {
                List<TaskCompletionSource> drained = [];
                while (_queue.Reader.TryRead(out var work))
                {
                    if (work.Drained is not null)
                        drained.Add(work.Drained);
                    if (work.Letter is { } letter)
                        file = AppendLetter(file, letter);
                    if (work.Removed > 0)
                        AppendRemoval(work.Removed);
                }

                Flush(ref file);
                drained.ForEach(waiting => waiting.SetResult());
            }
        }
        finally
        {
            file?.Dispose();
        }
    }

    private FileStream? AppendLetter(FileStream? file, DeadLetter letter)
    {
        Interlocked.Add(ref _queuedBytes, -letter.Payload.Length);
        try
        {
            lock (_filesGate)
            {
                if (file is not null && file.Position >= _fileBytes)
                {
                    file.Dispose();
                    file = null;
                }

                if (file is null)
                {
                    RemoveOldest();
                    file = new FileStream(Path.Combine(_folder, $"{letter.Number:D20}.jsonl"), FileMode.Create, FileAccess.Write, FileShare.ReadWrite | FileShare.Delete);
                }

                WriteLine(file, letter);
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            Interlocked.Increment(ref _notKept);
            DeadLetterLog.NotWritten(_logger, _folder, e);
        }

        return file;
    }

    /// <summary>Removals stand in a file of their own, so that a letter's file is never rewritten.</summary>
    private void AppendRemoval(long number)
    {
        try
        {
            File.AppendAllText(RemovedPath, $"{number}\n");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            DeadLetterLog.NotWritten(_logger, _folder, e);
        }
    }

    private string RemovedPath => Path.Combine(_folder, "removed");

    private void ReadRemoved()
    {
        if (!File.Exists(RemovedPath))
            return;
        var oldest = FilesNewestFirst() is [.., var last] ? FirstNumberOf(last) : long.MaxValue;
        foreach (var line in File.ReadLines(RemovedPath))
        {
            if (long.TryParse(line, out var number) && number >= oldest)
                _removed.Add(number);
        }

        File.WriteAllLines(RemovedPath, _removed.Select(n => n.ToString(CultureInfo.InvariantCulture)));
    }

    private bool IsRemoved(long number)
    {
        lock (_removed)
            return _removed.Contains(number);
    }

    private void Flush(ref FileStream? file)
    {
        try
        {
            file?.Flush();
        }
        catch (IOException e)
        {
            DeadLetterLog.NotWritten(_logger, _folder, e);
            file = null;
        }
    }

    private void RemoveOldest()
    {
        var files = FilesNewestFirst();
        var total = files.Sum(f => new FileInfo(f).Length);
        foreach (var oldest in files.AsEnumerable().Reverse())
        {
            if (total <= _totalBytes - _fileBytes)
                return;
            total -= new FileInfo(oldest).Length;
            File.Delete(oldest);
        }
    }

    private static void WriteLine(Stream file, DeadLetter letter)
    {
        var buffer = new ArrayBufferWriter<byte>(256 + letter.Payload.Length * 4 / 3);
        using (var json = new Utf8JsonWriter(buffer))
        {
            json.WriteStartObject();
            json.WriteNumber("number"u8, letter.Number);
            json.WriteNumber("at"u8, letter.At);
            json.WriteString("reason"u8, letter.Reason);
            WriteIfKnown(json, "listener", letter.Listener);
            WriteIfKnown(json, "device", letter.Device);
            WriteIfKnown(json, "job", letter.Job);
            WriteIfKnown(json, "detail", letter.Detail);
            if (letter.Tenant != 0)
                json.WriteNumber("tenant"u8, letter.Tenant);
            json.WriteNumber("bytes"u8, letter.PayloadBytes);
            json.WriteBase64String("payload"u8, letter.Payload);
            json.WriteEndObject();
        }

        buffer.Write("\n"u8);
        file.Write(buffer.WrittenSpan);
    }

    private static void WriteIfKnown(Utf8JsonWriter json, string name, string? value)
    {
        if (value is not null)
            json.WriteString(name, value);
    }

    private bool Matches(DeadLetter letter, DeadLetterQuery query) =>
        letter.Tenant == query.Tenant
        && !IsRemoved(letter.Number)
        && (query.After is null || letter.Number < query.After)
        && (query.Reason is null || letter.Reason == query.Reason)
        && (query.Job is null || letter.Job == query.Job)
        && (query.Listener is null || letter.Listener == query.Listener);

    private List<string> FilesNewestFirst() =>
        [.. Directory.EnumerateFiles(_folder, FilePattern).OrderByDescending(f => f, StringComparer.Ordinal)];

    private static long FirstNumberOf(string file) =>
        long.TryParse(Path.GetFileNameWithoutExtension(file), NumberStyles.None, CultureInfo.InvariantCulture, out var number) ? number : long.MaxValue;

    private long LastNumberOnDisk()
    {
        foreach (var file in FilesNewestFirst())
        {
            if (ReadFile(file) is [.., var last])
                return last.Number;
            if (FirstNumberOf(file) is var first and not long.MaxValue)
                return first;
        }

        return 0;
    }

    /// <summary>The letters of a file; a line that was cut by a crash or is not ours is passed over.</summary>
    private static List<DeadLetter> ReadFile(string file)
    {
        List<DeadLetter> letters = [];
        try
        {
            using var reader = new StreamReader(new FileStream(file, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete));
            while (reader.ReadLine() is { } line)
            {
                if (Parse(line) is { } letter)
                    letters.Add(letter);
            }
        }
        catch (FileNotFoundException)
        {
            // Removed by the bound between listing and reading: its letters are gone.
        }

        return letters;
    }

    private static DeadLetter? Parse(string line)
    {
        try
        {
            using var json = JsonDocument.Parse(line);
            var root = json.RootElement;
            string? Text(string name) => root.TryGetProperty(name, out var value) ? value.GetString() : null;
            return new DeadLetter(
                root.GetProperty("number").GetInt64(), root.GetProperty("at").GetInt64(), Text("listener"), Text("reason") ?? "",
                root.TryGetProperty("tenant", out var tenant) ? tenant.GetUInt16() : (ushort)0,
                Text("device"), Text("job"), Text("detail"), root.GetProperty("payload").GetBytesFromBase64(), root.GetProperty("bytes").GetInt32());
        }
        catch (Exception e) when (e is JsonException or KeyNotFoundException or FormatException or InvalidOperationException)
        {
            return null;
        }
    }
}
