using System.Buffers;
using System.Data.Common;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Millrace.Jobs.Definitions;
using Millrace.Jobs.Running;
using Millrace.Outputs;

namespace Millrace.Jobs.References;

/// <summary>
/// The rows of one reference input. Read when something changed; the rows in use are kept in a file of the job's own, so that after a
/// crash the same readings meet the same rows.
/// </summary>
internal sealed class ReferenceRows(string name, ReferenceSource source, string folder, JobServices services)
{
    private const long BytesMax = 256 << 20;

    private long _checkedAt = long.MinValue;
    private (DateTime, long) _seen;

    public string Name => name;

    /// <summary>File name of the rows in use; empty before the first load.</summary>
    public string InUse { get; private set; } = "";

    /// <summary>The rows that were in use when a snapshot was made, or null when they are gone.</summary>
    public IReadOnlyList<ReadOnlyMemory<byte>>? Restore(string file)
    {
        var path = Path.Combine(folder, file);
        if (file.Length == 0 || !File.Exists(path))
            return null;
        InUse = file;
        return SplitLines(File.ReadAllBytes(path));
    }

    /// <summary>The rows when they have changed since the last call, else null.</summary>
    /// <exception cref="OutputException">They cannot be read; the ones in use stay.</exception>
    public async ValueTask<IReadOnlyList<ReadOnlyMemory<byte>>?> LoadIfChangedAsync(long now, CancellationToken cancel)
    {
        if (_checkedAt != long.MinValue && now - _checkedAt < (long)source.Refresh.TotalMicroseconds)
            return null;
        _checkedAt = now;
        // Drivers block, and some hear a cancellation only when the server answers: a stop does not wait for that.
        var rows = source.File is null ? await Task.Run(() => LoadTableAsync(cancel), CancellationToken.None).WaitAsync(cancel) : LoadFile();
        if (rows is null)
            return null;
        var joined = new ArrayBufferWriter<byte>(64 << 10);
        foreach (var row in rows)
        {
            joined.Write(row.Span);
            joined.Write("\n"u8);
        }

        var file = $"{name}-{Convert.ToHexStringLower(SHA256.HashData(joined.WrittenSpan))[..16]}.reference";
        if (file == InUse)
            return null;
        AtomicFile.Write(Path.Combine(folder, file), joined.WrittenSpan);
        InUse = file;
        return rows;
    }

    /// <summary>Removes files that neither the rows in use nor a snapshot needs.</summary>
    public void RemoveOld(IReadOnlyCollection<string> needed)
    {
        foreach (var path in Directory.EnumerateFiles(folder, name + "-*.reference"))
        {
            var file = Path.GetFileName(path);
            if (file != InUse && !needed.Contains(file) && file.Length == name.Length + "-0123456789abcdef.reference".Length)
                File.Delete(path);
        }
    }

    private List<ReadOnlyMemory<byte>>? LoadFile()
    {
        var path = services.Folders.Resolve(source.File!);
        try
        {
            var info = new FileInfo(path);
            if (!info.Exists)
                throw new OutputException($"the reference file {path} is not there", refused: true);
            if ((info.LastWriteTimeUtc, info.Length) == _seen)
                return null;
            if (info.Length > BytesMax)
                throw new OutputException($"the reference file {path} is larger than {BytesMax >> 20} MiB", refused: true);
            var bytes = File.ReadAllBytes(path);
            var rows = path.EndsWith(".csv", StringComparison.OrdinalIgnoreCase) ? CsvReader.Read(bytes) : ReadJson(bytes);
            _seen = (info.LastWriteTimeUtc, info.Length);
            return rows;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or JsonException or FormatException)
        {
            throw new OutputException($"the reference file {path} cannot be read: {e.Message}", e);
        }
    }

    private static List<ReadOnlyMemory<byte>> ReadJson(byte[] bytes)
    {
        var text = bytes.AsSpan().TrimStart(" \t\r\n"u8);
        if (text.Length == 0 || text[0] != '[')
            return [.. SplitLines(bytes).Where(l => l.Span.ContainsAnyExcept(" \t\r"u8)).Select(Checked)];
        using var document = JsonDocument.Parse(bytes);
        return [.. document.RootElement.EnumerateArray().Select(e => Checked(Encoding.UTF8.GetBytes(e.GetRawText())))];
    }

    private static ReadOnlyMemory<byte> Checked(ReadOnlyMemory<byte> row)
    {
        using var document = JsonDocument.Parse(row);
        return document.RootElement.ValueKind == JsonValueKind.Object ? row : throw new FormatException("a row is not a JSON object");
    }

    private async Task<List<ReadOnlyMemory<byte>>> LoadTableAsync(CancellationToken cancel)
    {
        var dialect = new OutputFactory(services).Dialect(source.Provider)
            ?? throw new OutputException($"the provider '{source.Provider}' is not known here", refused: true);
        await using var connection = await dialect.ConnectAsync(source.Connection!, cancel);
        try
        {
            await using var command = connection.CreateCommand();
            command.CommandText = $"SELECT * FROM {string.Join('.', source.Table!.Split('.').Select(dialect.Quote))}";
            await using var reader = await command.ExecuteReaderAsync(cancel);
            List<ReadOnlyMemory<byte>> rows = [];
            while (await reader.ReadAsync(cancel))
                rows.Add(JsonOf(reader));
            return rows;
        }
        catch (DbException e)
        {
            throw new OutputException($"the reference table {source.Table} cannot be read: {e.Message}", e);
        }
    }

    private static byte[] JsonOf(DbDataReader reader)
    {
        var buffer = new ArrayBufferWriter<byte>();
        using (var json = new Utf8JsonWriter(buffer))
        {
            json.WriteStartObject();
            for (var i = 0; i < reader.FieldCount; i++)
            {
                json.WritePropertyName(reader.GetName(i));
                switch (reader.GetValue(i))
                {
                    case DBNull: json.WriteNullValue(); break;
                    case bool bit: json.WriteBooleanValue(bit); break;
                    case string text: json.WriteStringValue(text); break;
                    case DateTime time: json.WriteStringValue(time.ToString("yyyy-MM-dd'T'HH:mm:ss.fffffff'Z'")); break;
                    case double or float: json.WriteNumberValue(reader.GetDouble(i)); break;
                    case decimal money: json.WriteNumberValue(money); break;
                    case byte[] bytes: json.WriteBase64StringValue(bytes); break;
                    case var other when other is long or int or short or byte or sbyte or uint or ushort: json.WriteNumberValue(Convert.ToInt64(other)); break;
                    case var other: json.WriteStringValue(other.ToString()); break;
                }
            }

            json.WriteEndObject();
        }

        return buffer.WrittenSpan.ToArray();
    }

    private static List<ReadOnlyMemory<byte>> SplitLines(byte[] bytes)
    {
        List<ReadOnlyMemory<byte>> lines = [];
        var start = 0;
        while (start < bytes.Length)
        {
            var end = bytes.AsSpan(start).IndexOf((byte)'\n');
            var length = end < 0 ? bytes.Length - start : end;
            if (length > 0)
                lines.Add(bytes.AsMemory(start, length));
            start += length + 1;
        }

        return lines;
    }
}
