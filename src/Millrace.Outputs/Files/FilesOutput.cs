using System.Text.Json;
using Microsoft.Win32.SafeHandles;
using Millrace.Core;

namespace Millrace.Outputs.Files;

/// <summary>
/// Rows as JSON lines or CSV in files. A small state file beside them holds the recorded length and the highest row; what lies
/// behind the recorded length on opening came from an append that was not finished, and is cut. A rolling file is written as
/// <c>NAME.part</c> and gets its name when it is complete, so whoever sees <c>NAME</c> may take it away. Parquet is made then, of JSON lines.
/// </summary>
public sealed class FilesOutput : IOutput
{
    private readonly OutputSource _source;
    private readonly FilesOutputOptions _options;
    private readonly TimeProvider _time;
    private readonly string _folder;
    private readonly string _stem;
    private readonly string _extension;
    private readonly string _statePath;
    private SafeFileHandle? _handle;
    private State _state;

    /// <param name="File">Final name of the open file, or null when the next row begins one.</param>
    /// <param name="Sealed">The Parquet file is made: what is left is to give it its name and to remove the lines it was made of.</param>
    /// <param name="Incarnation">Of the job that wrote the highest row; null: by a release that did not say.</param>
    private sealed record State(
        string Owner, int Version, long Row, string? File, long Length, long OpenedAt, IReadOnlyList<string>? Columns, bool Sealed = false,
        string? Incarnation = null);

    public FilesOutput(OutputSource source, FilesOutputOptions options, TimeProvider time)
    {
        _source = source;
        _options = options;
        _time = time;
        if (options.Format == FileFormat.Parquet && !options.Rolls)
            throw new ArgumentException("a Parquet file cannot grow: it has to roll", nameof(options));
        _folder = System.IO.Path.GetDirectoryName(options.Path)!;
        _stem = System.IO.Path.GetFileNameWithoutExtension(options.Path);
        _extension = System.IO.Path.GetExtension(options.Path) is { Length: > 0 } given ? given : Extension(options.Format);
        _statePath = System.IO.Path.Combine(_folder, $".{System.IO.Path.GetFileName(options.Path)}.millrace");
        _state = new State(source.ToString(), RowId.None.Version, RowId.None.Row, null, 0, 0, null);
    }

    public string Kind => "files";

    public bool KeepsBooks => true;

    // Two flushes a batch: a tenth of a second of rows costs the disk little and a reader of the file nothing.
    public OutputBatching Batching => new(20_000, 4 << 20, TimeSpan.FromMilliseconds(100));

    public ValueTask<RowId> OpenAsync(CancellationToken cancel)
    {
        try
        {
            CloseHandle();
            Directory.CreateDirectory(_folder);
            Restore();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or JsonException)
        {
            throw new OutputException($"cannot open {_options.Path}: {e.Message}", e);
        }

        return ValueTask.FromResult(new RowId(_state.Version, _state.Row));
    }

    public ValueTask AppendAsync(IReadOnlyList<OutputRow> rows, CancellationToken cancel)
    {
        try
        {
            // A row that is here already is not taken again, and what is held never goes back.
            Append([.. rows.SkipWhile(row => row.Id <= new RowId(_state.Version, _state.Row))]);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new OutputException($"cannot write {_options.Path}: {e.Message}", e);
        }

        return ValueTask.CompletedTask;
    }

    public ValueTask IdleAsync(CancellationToken cancel)
    {
        if (_handle is not null && IsDue())
            Finish();
        return ValueTask.CompletedTask;
    }

    public ValueTask DisposeAsync()
    {
        CloseHandle();
        return ValueTask.CompletedTask;
    }

    private static string Extension(FileFormat format) => format switch
    {
        FileFormat.Csv => ".csv",
        FileFormat.Parquet => ".parquet",
        _ => ".jsonl",
    };

    private void Restore()
    {
        if (!File.Exists(_statePath))
        {
            if (!_options.Rolls && File.Exists(FinalPath(CurrentName())))
            {
                throw new OutputException(
                    $"{_options.Path} exists already and was not written by this output; move it away or choose another path", refused: true);
            }

            return;
        }

        var state = JsonSerializer.Deserialize<State>(File.ReadAllBytes(_statePath)) ?? throw new JsonException("the state file is empty");
        if (!state.Owner.Equals(_source.ToString(), StringComparison.OrdinalIgnoreCase))
        {
            throw new OutputException(
                $"{_options.Path} belongs to output {state.Owner}; two outputs cannot share a file, choose another path", refused: true);
        }

        _source.Lineage.Accept(
            _source, new RowId(state.Version, state.Row), state.Incarnation, _options.Path,
            $"choose another path, or move the file and {_statePath} away");
        _state = state;
        if (state.File is null)
            return;
        if (state.Sealed)
        {
            NameParquet();
            return;
        }

        var path = WorkPath(state.File);
        if (!File.Exists(path))
        {
            // Renamed already, and the process died before it said so; or the operator took the file away.
            _state = state with { File = null };
            return;
        }

        _handle = File.OpenHandle(path, FileMode.Open, FileAccess.ReadWrite, FileShare.Read);
        var length = RandomAccess.GetLength(_handle);
        if (length < state.Length)
        {
            throw new OutputException(
                $"{path} is shorter than recorded ({length} of {state.Length} bytes): somebody changed it; restore it or move it away", refused: true);
        }

        if (length > state.Length)
            RandomAccess.SetLength(_handle, state.Length);
    }

    private void Append(IReadOnlyList<OutputRow> rows)
    {
        var buffer = new MemoryStream();
        var next = 0;
        while (next < rows.Count)
        {
            if (_handle is not null && IsDue())
                Finish();
            if (_handle is null)
                Begin(rows[next]);
            buffer.SetLength(0);
            var taken = Fill(buffer, rows, next);
            if (taken == 0)
            {
                // A column the header does not have: the CSV goes on in a new file.
                Finish(keepName: false);
                continue;
            }

            RandomAccess.Write(_handle!, buffer.GetBuffer().AsSpan(0, (int)buffer.Length), _state.Length);
            RandomAccess.FlushToDisk(_handle!);
            next += taken;
            var last = rows[next - 1].Id;
            Save(_state with
            {
                Version = last.Version,
                Row = last.Row,
                Length = _state.Length + buffer.Length,
                Incarnation = _source.Lineage.IdOf(last.Version),
            });
        }
    }

    /// <summary>Formats rows until the file is due to roll or its columns change; tells how many.</summary>
    private int Fill(MemoryStream buffer, IReadOnlyList<OutputRow> rows, int first)
    {
        if (_options.Format == FileFormat.Csv && _state.Length == 0)
            CsvLines.WriteHeader(buffer, _state.Columns!);
        var taken = 0;
        for (var i = first; i < rows.Count; i++)
        {
            if (_options.RollBytes > 0 && taken > 0 && _state.Length + buffer.Length >= _options.RollBytes)
                break;
            if (_options.Format != FileFormat.Csv)
            {
                buffer.Write(rows[i].Json.Span);
                buffer.WriteByte((byte)'\n');
            }
            else if (!CsvLines.TryWrite(buffer, _state.Columns!, rows[i].Json))
            {
                break;
            }

            taken++;
        }

        return taken;
    }

    private void Begin(OutputRow row)
    {
        var name = _options.Rolls
            ? $"{_stem}.{Micros.ToDateTime(row.Timestamp):yyyyMMdd'T'HHmmss'Z'}.{row.Id}{_extension}"
            : CurrentName();
        var columns = _options.Format == FileFormat.Csv ? CsvLines.ColumnsOf(row.Json) : null;
        _handle = File.OpenHandle(WorkPath(name), FileMode.Create, FileAccess.ReadWrite, FileShare.Read);
        AtomicFile.FlushFolder(_folder);
        Save(_state with { File = name, Length = 0, OpenedAt = _time.Now(), Columns = columns });
    }

    /// <summary>Closes the open file and gives it its final name.</summary>
    /// <param name="keepName">False: a file that does not roll makes room under a name of its own.</param>
    private void Finish(bool keepName = true)
    {
        CloseHandle();
        var name = _state.File!;
        if (_options.Format == FileFormat.Parquet)
        {
            using (var made = new FileStream(MadePath(name), FileMode.Create))
            {
                ParquetConversion.Run(WorkPath(name), made);
                made.Flush(flushToDisk: true);
            }

            // From here on the rows are never looked up in the lines again, whoever takes the finished file away.
            Save(_state with { Sealed = true });
            NameParquet();
            return;
        }

        if (_options.Rolls)
            File.Move(WorkPath(name), FinalPath(name), overwrite: true);
        else if (!keepName)
            File.Move(FinalPath(name), FinalPath($"{_stem}.until-{_state.Version}-{_state.Row}{_extension}"), overwrite: true);
        AtomicFile.FlushFolder(_folder);
        Save(_state with { File = null, Length = 0, Columns = null });
    }

    private void NameParquet()
    {
        var name = _state.File!;
        if (File.Exists(MadePath(name)))
            File.Move(MadePath(name), FinalPath(name), overwrite: true);
        File.Delete(WorkPath(name));
        AtomicFile.FlushFolder(_folder);
        Save(_state with { File = null, Length = 0, Sealed = false });
    }

    private bool IsDue() =>
        (_options.RollBytes > 0 && _state.Length >= _options.RollBytes)
        || (_options.RollAfter > TimeSpan.Zero && _time.Now() - _state.OpenedAt >= (long)_options.RollAfter.TotalMicroseconds);

    private void Save(State state)
    {
        AtomicFile.Write(_statePath, JsonSerializer.SerializeToUtf8Bytes(state));
        _state = state;
    }

    private string CurrentName() => _stem + _extension;

    private string FinalPath(string name) => System.IO.Path.Combine(_folder, name);

    private string WorkPath(string name) => _options.Rolls ? FinalPath(name) + ".part" : FinalPath(name);

    private string MadePath(string name) => System.IO.Path.Combine(_folder, "." + name + ".new");

    private void CloseHandle()
    {
        _handle?.Dispose();
        _handle = null;
    }
}
