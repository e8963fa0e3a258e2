using System.Net;
using System.Text;
using System.Text.Json;
using Millrace.Commands.Remote;
using Millrace.Core;

namespace Millrace.Commands.Transfer;

/// <summary>What is to be imported, and where it is kept how far that has come.</summary>
internal sealed record ImportWish(string Path, string Format, string Server, RowMapping Mapping, string StatePath);

/// <summary>How far an import has come.</summary>
/// <param name="Of">The file and how it is read; another one must not go on here.</param>
/// <param name="Done">Rows of the file that are finished, good and bad.</param>
/// <param name="OpenTo">Rows up to here were being sent; some of them may be stored.</param>
/// <param name="OpenSince">The server's time before that, µs.</param>
internal sealed record ImportState(string Of, long Done, long OpenTo, long OpenSince, long Stored, long Bad, bool Finished);

/// <summary>
/// Posts rows in batches. Each batch is written down before it is sent; one that was broken off is looked up in the server, row by row,
/// before it is sent again. So nothing is missing and nothing comes twice.
/// </summary>
internal sealed class ImportRun(ImportWish wish, ServerApi api, TextWriter output, TextWriter errors)
{
    private const int BatchRows = 1000;
    private const int BatchBytes = 1 << 20;
    private const int FaultsTold = 100;
    private const int AttemptsMax = 20;

    /// <summary>The server tells its time to the second.</summary>
    private const long ClockSlack = 2 * Micros.PerSecond;

    private readonly Progress _progress = new(errors);
    private readonly List<ImportRow> _batch = [];
    private ImportState _state = null!;
    private long _clockAhead;
    private long _faults;

    public async Task<int> RunAsync(CancellationToken cancel)
    {
        _state = Load();
        if (_state.Finished)
        {
            output.WriteLine($"{wish.Path} was imported before: {_state.Stored} readings, {_state.Bad} bad lines; remove {wish.StatePath} to import it again");
            return ExitCode.Done;
        }

        if (_state.Done > 0 || _state.OpenTo > 0)
            errors.WriteLine($"millrace: going on after {_state.Done} rows");
        _clockAhead = await api.ServerTimeAsync(cancel) - TimeProvider.System.Now();
        var (rows, batchBytes, batchEnd) = (0L, 0, BatchEnd());
        foreach (var row in RowSources.Open(wish.Path, wish.Format, wish.Mapping))
        {
            cancel.ThrowIfCancellationRequested();
            if (++rows <= _state.Done)
                continue;
            _batch.Add(row);
            batchBytes += row.Json?.Length ?? 0;
            if (batchEnd > 0 ? rows < batchEnd : _batch.Count < BatchRows && batchBytes < BatchBytes)
                continue;
            await SendAsync(rows, cancel);
            (batchBytes, batchEnd) = (0, 0);
        }

        if (_batch.Count > 0)
            await SendAsync(rows, cancel);
        _progress.End();
        Save(_state with { Finished = true });
        if (_faults > FaultsTold)
            errors.WriteLine($"millrace: {_faults - FaultsTold} more bad lines are not listed");
        output.WriteLine($"{_state.Stored} readings imported, {_state.Bad} bad lines");
        return _state.Bad == 0 ? ExitCode.Done : ExitCode.Failed;
    }

    /// <summary>A batch that was broken off is taken up again as it was.</summary>
    private long BatchEnd() => _state.OpenTo > _state.Done ? _state.OpenTo : 0;

    private async Task SendAsync(long rows, CancellationToken cancel)
    {
        var good = _batch.FindAll(row => row.Json is not null);
        foreach (var row in _batch.Where(row => row.Fault is not null))
            Tell(row.Number, row.Fault!);
        var bad = (long)(_batch.Count - good.Count);
        var stored = 0L;
        if (_state.OpenTo > _state.Done)
            stored += await RemoveStoredAsync(good, cancel);
        else
            Save(_state with { OpenTo = rows, OpenSince = TimeProvider.System.Now() + _clockAhead - ClockSlack });
        for (var attempt = 1; good.Count > 0; attempt++)
        {
            var answer = await api.ExchangeAsync(HttpMethod.Post, "api/v1/telemetry", Lines(good), cancel);
            if (answer.Status is HttpStatusCode.OK or HttpStatusCode.BadRequest && TryReadAnswer(answer.Body, out var accepted, out var rejected))
            {
                foreach (var (index, reason) in rejected)
                    Tell(good[index].Number, $"is refused by the server: {reason}");
                stored += accepted;
                bad += good.Count - accepted;
                break;
            }

            if (answer.Status is not (HttpStatusCode.TooManyRequests or HttpStatusCode.ServiceUnavailable) || attempt == AttemptsMax)
                throw new CommandException($"{answer.Explain()}; the same command goes on at row {_state.Done + 1}");
            await Task.Delay(answer.RetryAfter, cancel);
            stored += await RemoveStoredAsync(good, cancel);
        }

        _batch.Clear();
        Save(_state with { Done = rows, OpenTo = 0, Stored = _state.Stored + stored, Bad = _state.Bad + bad });
        _progress.Show($"{rows:N0} rows, {_state.Stored:N0} readings stored, {_state.Bad:N0} bad");
    }

    private static HttpContent Lines(List<ImportRow> rows)
    {
        var body = new MemoryStream();
        foreach (var row in rows)
        {
            body.Write(row.Json);
            body.WriteByte((byte)'\n');
        }

        var content = new ByteArrayContent(body.GetBuffer(), 0, (int)body.Length);
        content.Headers.ContentType = new("application/x-ndjson");
        return content;
    }

    private static bool TryReadAnswer(byte[] body, out long accepted, out List<(int Index, string Reason)> rejected)
    {
        (accepted, rejected) = (0, []);
        try
        {
            var answer = JsonElement.Parse(body);
            if (!answer.TryGetProperty("accepted", out var count))
                return false;
            accepted = count.GetInt64();
            rejected = [.. answer.Items("rejected").Select(item => (item.GetProperty("index").GetInt32(), item.Show("reason")))];
            return true;
        }
        catch (JsonException)
        {
            return false;
        }
    }

    /// <summary>Takes out the rows that the server has stored since the batch was begun.</summary>
    private async Task<long> RemoveStoredAsync(List<ImportRow> rows, CancellationToken cancel)
    {
        var counted = new Dictionary<string, int>(StringComparer.Ordinal);
        var missing = new List<ImportRow>();
        foreach (var row in rows)
        {
            var key = Encoding.UTF8.GetString(row.Json!);
            if (!counted.TryGetValue(key, out var stored))
                stored = await CountStoredAsync(JsonElement.Parse(row.Json), cancel);
            counted[key] = stored - 1;
            if (stored <= 0)
                missing.Add(row);
        }

        var found = rows.Count - missing.Count;
        rows.Clear();
        rows.AddRange(missing);
        return found;
    }

    private async Task<int> CountStoredAsync(JsonElement reading, CancellationToken cancel)
    {
        // With an end, so that a device that sends all the time is not followed for ever.
        var (since, until) = (Micros.ToIso(_state.OpenSince), Micros.ToIso(TimeProvider.System.Now() + _clockAhead + ClockSlack));
        var path = $"api/v1/devices/{Uri.EscapeDataString(reading.Show("id"))}/history?order=receivedAt&limit=100000&from={Uri.EscapeDataString(since)}&to={Uri.EscapeDataString(until)}";
        var (count, next) = (0, "");
        do
        {
            var answer = await api.ExchangeAsync(HttpMethod.Get, next.Length == 0 ? path : $"{path}&after={Uri.EscapeDataString(next)}", null, cancel);
            if (answer.Status == HttpStatusCode.NotFound)
                return count;
            if (answer.Status != HttpStatusCode.OK)
                throw new CommandException($"{answer.Explain()}; the same command goes on at row {_state.Done + 1}");
            var page = JsonElement.Parse(answer.Body);
            count += page.Items("readings").Count(stored => JsonElement.DeepEquals(stored.GetProperty("data"), reading));
            next = page.Show("next");
        }
        while (next.Length > 0);

        return count;
    }

    private void Tell(long number, string fault)
    {
        if (++_faults > FaultsTold)
            return;
        _progress.End();
        errors.WriteLine($"millrace: {wish.Path}:{number}: {fault}");
    }

    private ImportState Load()
    {
        var of = $"{wish.Format} {new FileInfo(wish.Path).Length} id={wish.Mapping.IdName} time={wish.Mapping.TimeName} {wish.Server}";
        if (!File.Exists(wish.StatePath))
            return new ImportState(of, 0, 0, 0, 0, 0, false);
        ImportState? state;
        try
        {
            state = JsonSerializer.Deserialize<ImportState>(File.ReadAllBytes(wish.StatePath));
        }
        catch (JsonException fault)
        {
            throw new CommandException($"{wish.StatePath} does not say how far the import has come: {fault.Message}; restore it, or remove it to begin anew", fault);
        }

        return state?.Of == of
            ? state
            : throw new CommandException($"{wish.StatePath} belongs to an import of another file, with other options or to another server; give the same ones, or remove it to begin anew");
    }

    private void Save(ImportState state)
    {
        var temporary = wish.StatePath + ".tmp";
        using (var file = File.Create(temporary))
        {
            file.Write(JsonSerializer.SerializeToUtf8Bytes(state));
            file.Flush(flushToDisk: true);
        }

        File.Move(temporary, wish.StatePath, overwrite: true);
        _state = state;
    }
}
