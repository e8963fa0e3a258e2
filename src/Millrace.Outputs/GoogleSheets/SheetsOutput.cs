using System.Buffers;
using System.Globalization;
using System.Net;
using System.Net.Http.Headers;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Millrace.Core;
using Millrace.Outputs.Webhook;

namespace Millrace.Outputs.GoogleSheets;

/// <summary>
/// Rows appended to a Google spreadsheet. Appending is not idempotent there, so the first column says which row it is, and after an
/// uncertain answer the last cells of that column are read before anything is sent again.
/// </summary>
public sealed class SheetsOutput(
    OutputSource source, SheetsOptions options, HttpClient client, SheetsQuota quota, TimeProvider time) : IOutput
{
    /// <summary>Rows at the end of a sheet that are searched for our mark before going further back.</summary>
    private const int TailRows = 2000;

    private const string ChainProperty = "millrace";
    private const string NumberProperty = "millraceNumber";

    /// <summary>Columns beyond those of its first rows that a sheet of ours has: every cell counts, also an empty one.</summary>
    private const int SpareColumns = 4;

    private readonly GoogleToken _token = new(options, client, time);
    private readonly string _baseTitle = options.Range.Contains('!') ? options.Range[..options.Range.LastIndexOf('!')].Trim('\'') : "Sheet1";
    private string _spreadsheet = options.Spreadsheet;

    /// <summary>1 for the spreadsheet of the job's definition, then one more for each that followed.</summary>
    private int _spreadsheetNumber = 1;
    private string _title = "";
    private int _sheetNumber = 1;
    private long _sheetRows;

    /// <summary>The sheet was made by us, with no more columns than its rows need.</summary>
    private bool _isLean;

    public string Kind => "sheets";

    public bool KeepsBooks => false;

    // Thirty calls a minute at most, far below the recommended 2 MB.
    public OutputBatching Batching => new(500, 1 << 20, TimeSpan.FromSeconds(2));

    /// <summary>By this a spreadsheet that follows is found again: a property of its file, of at most 124 bytes with its name.</summary>
    private string Chain => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes($"{options.Spreadsheet}/{Mark}")))[..32];

    private string Mark => $"{source.Job}/{source.Output}/";

    public async ValueTask<RowId> OpenAsync(CancellationToken cancel)
    {
        await FindSpreadsheetAsync(cancel);
        var rows = await FindSheetAsync(cancel);
        for (var to = rows; to > 0; to -= TailRows)
        {
            var from = Math.Max(1, to - TailRows + 1);
            using var cells = await CallAsync(HttpMethod.Get, ValuesPath($"{Quoted(_title)}!A{from}:A{to}"), null, cancel);
            if (!cells.RootElement.TryGetProperty("values", out var values))
                continue;
            var filled = values.GetArrayLength();
            _sheetRows = Math.Max(_sheetRows, from - 1 + filled);
            for (var i = filled - 1; i >= 0; i--)
            {
                if (values[i].GetArrayLength() == 0 || !TryParseMark(values[i][0].ToString(), out var id, out var incarnation))
                    continue;
                source.Lineage.Accept(
                    source, id, incarnation, $"spreadsheet {_spreadsheet}",
                    $"choose another spreadsheet or range, or remove the rows that begin with {Mark}");
                return id;
            }
        }

        return RowId.None;
    }

    public async ValueTask AppendAsync(IReadOnlyList<OutputRow> rows, CancellationToken cancel)
    {
        if (_sheetNumber == 0 || _sheetRows >= options.SheetRowsMax)
            await AddSheetAsync(rows, cancel);
        try
        {
            await AppendHereAsync(rows, cancel);
        }
        catch (OutputException e) when (IsOutOfCells(e))
        {
            await AppendToLeanSheetAsync(rows, e, cancel);
        }
    }

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;

    /// <summary>The service's words when a spreadsheet would pass its ten million cells.</summary>
    private static bool IsOutOfCells(OutputException e) => e.Refused && e.Message.Contains("number of cells", StringComparison.Ordinal);

    /// <summary>A sheet somebody made has 26 columns, mostly empty, which count; one of ours has what the rows need.</summary>
    private async ValueTask AppendToLeanSheetAsync(IReadOnlyList<OutputRow> rows, OutputException full, CancellationToken cancel)
    {
        try
        {
            if (!_isLean)
            {
                await AddSheetAsync(rows, cancel);
                await AppendHereAsync(rows, cancel);
                return;
            }
        }
        catch (OutputException e) when (IsOutOfCells(e))
        {
            // Goes on, or is said, below.
        }

        if (options.Folder is null)
        {
            throw new OutputException(
                $"spreadsheet {_spreadsheet} is full, it holds the service's ten million cells: make a new one, share it with the same account and put its id into the job, "
                + "or name a \"folder\" in which the next ones are made", full, refused: true);
        }

        await AddSpreadsheetAsync(cancel);
        await AddSheetAsync(rows, cancel);
        await AppendHereAsync(rows, cancel);
    }

    /// <summary>Goes to the last of the spreadsheets that followed the job's, which only the service knows for sure.</summary>
    private async ValueTask FindSpreadsheetAsync(CancellationToken cancel)
    {
        (_spreadsheet, _spreadsheetNumber) = (options.Spreadsheet, 1);
        if (options.Folder is null)
            return;
        var query = Uri.EscapeDataString($"appProperties has {{ key='{ChainProperty}' and value='{Chain}' }} and trashed=false");
        using var answer = await CallAsync(
            HttpMethod.Get, DrivePath($"?q={query}&fields=files(id,appProperties)&pageSize=1000&supportsAllDrives=true&includeItemsFromAllDrives=true"), null, cancel);
        foreach (var file in answer.RootElement.GetProperty("files").EnumerateArray())
        {
            if (int.TryParse(file.GetProperty("appProperties").GetProperty(NumberProperty).GetString(), out var number) && number > _spreadsheetNumber)
                (_spreadsheet, _spreadsheetNumber) = (file.GetProperty("id").GetString()!, number);
        }
    }

    /// <summary>Makes the spreadsheet that follows, in the folder. One that was made without our learning of it is found by the next opening.</summary>
    private async ValueTask AddSpreadsheetAsync(CancellationToken cancel)
    {
        var body = JsonSerializer.SerializeToUtf8Bytes(new
        {
            name = $"{source.Job} {source.Output} {_spreadsheetNumber + 1}",
            mimeType = "application/vnd.google-apps.spreadsheet",
            parents = new[] { options.Folder },
            appProperties = new Dictionary<string, string>
            {
                [ChainProperty] = Chain,
                [NumberProperty] = (_spreadsheetNumber + 1).ToString(CultureInfo.InvariantCulture),
            },
        });
        using var answer = await CallAsync(HttpMethod.Post, DrivePath("?fields=id&supportsAllDrives=true"), body, cancel);
        (_spreadsheet, _spreadsheetNumber) = (answer.RootElement.GetProperty("id").GetString()!, _spreadsheetNumber + 1);
        (_sheetNumber, _sheetRows, _isLean) = (0, 0, false);
    }

    private async ValueTask AppendHereAsync(IReadOnlyList<OutputRow> rows, CancellationToken cancel)
    {
        var range = $"{Quoted(_title)}!A1";
        using var answer = await CallAsync(
            HttpMethod.Post, ValuesPath(range) + ":append?valueInputOption=RAW&insertDataOption=INSERT_ROWS", Body(rows, _sheetRows == 0), cancel);
        _sheetRows += rows.Count + (_sheetRows == 0 ? 1 : 0);
    }

    /// <summary>Finds the newest of our sheets and tells how many rows its grid has.</summary>
    private async ValueTask<int> FindSheetAsync(CancellationToken cancel)
    {
        using var answer = await CallAsync(HttpMethod.Get, SpreadsheetPath + "?fields=sheets.properties", null, cancel);
        var rows = -1;
        (_title, _sheetNumber, _sheetRows) = (_baseTitle, 1, 0);
        if (answer.RootElement.TryGetProperty("sheets", out var sheets))
        {
            foreach (var properties in sheets.EnumerateArray().Select(s => s.GetProperty("properties")))
            {
                var title = properties.GetProperty("title").GetString()!;
                var number = title == _baseTitle ? 1
                    : title.StartsWith(_baseTitle + " ", StringComparison.Ordinal) && int.TryParse(title.AsSpan(_baseTitle.Length + 1), out var n) ? n : 0;
                if (number == 0 || (number < _sheetNumber && rows >= 0))
                    continue;
                (_title, _sheetNumber, _isLean) = (title, number, number > 1);
                rows = properties.TryGetProperty("gridProperties", out var grid) && grid.TryGetProperty("rowCount", out var count) ? count.GetInt32() : 1000;
            }
        }

        if (rows < 0 && _spreadsheetNumber > 1)
        {
            // Ours, and nothing was written yet.
            _sheetNumber = 0;
            return 0;
        }

        if (rows < 0)
            throw new OutputException($"the spreadsheet has no sheet '{_baseTitle}'; add it, or mend \"range\" in the job", refused: true);
        return rows;
    }

    private async ValueTask AddSheetAsync(IReadOnlyList<OutputRow> rows, CancellationToken cancel)
    {
        var columnCount = SpareColumns + rows.Max(ColumnsOf);
        var title = $"{_baseTitle} {_sheetNumber + 1}";
        var body = JsonSerializer.SerializeToUtf8Bytes(
            new { requests = new[] { new { addSheet = new { properties = new { title, gridProperties = new { rowCount = 1, columnCount } } } } } });
        using var answer = await CallAsync(HttpMethod.Post, SpreadsheetPath + ":batchUpdate", body, cancel);
        (_title, _sheetNumber, _sheetRows, _isLean) = (title, _sheetNumber + 1, 0, true);
    }

    /// <summary>Columns of a row in the sheet: its name and its time come first.</summary>
    private static int ColumnsOf(OutputRow row)
    {
        using var document = JsonDocument.Parse(row.Json);
        return 2 + document.RootElement.EnumerateObject().Count();
    }

    private byte[] Body(IReadOnlyList<OutputRow> rows, bool withHeader)
    {
        var buffer = new ArrayBufferWriter<byte>(1024 + rows.Sum(r => r.Json.Length + 64));
        using (var json = new Utf8JsonWriter(buffer))
        {
            json.WriteStartObject();
            json.WriteString("majorDimension", "ROWS");
            json.WriteStartArray("values");
            foreach (var row in rows)
            {
                using var document = JsonDocument.Parse(row.Json);
                if (withHeader)
                {
                    json.WriteStartArray();
                    json.WriteStringValue("row");
                    json.WriteStringValue("time");
                    foreach (var property in document.RootElement.EnumerateObject())
                        json.WriteStringValue(property.Name);
                    json.WriteEndArray();
                    withHeader = false;
                }

                json.WriteStartArray();
                json.WriteStringValue(source.Lineage.IdOf(row.Id.Version) is { } incarnation ? $"{Mark}{row.Id}/{incarnation}" : Mark + row.Id);
                json.WriteStringValue(Micros.ToIso(row.Timestamp));
                foreach (var property in document.RootElement.EnumerateObject())
                    WriteCell(json, property.Value);
                json.WriteEndArray();
            }

            json.WriteEndArray();
            json.WriteEndObject();
        }

        return buffer.WrittenSpan.ToArray();
    }

    private static void WriteCell(Utf8JsonWriter json, JsonElement value)
    {
        switch (value.ValueKind)
        {
            case JsonValueKind.Null:
                // A null would leave the cell alone; an empty text keeps the columns in step.
                json.WriteStringValue("");
                break;
            case JsonValueKind.Object or JsonValueKind.Array:
                json.WriteStringValue(value.GetRawText());
                break;
            case JsonValueKind.String when value.GetString() is { Length: > 49_000 } longText:
                // A cell holds 50,000 characters.
                json.WriteStringValue(longText[..49_000] + "…");
                break;
            default:
                value.WriteTo(json);
                break;
        }
    }

    private bool TryParseMark(string cell, out RowId id, out string? incarnation)
    {
        (id, incarnation) = (RowId.None, null);
        if (!cell.StartsWith(Mark, StringComparison.Ordinal))
            return false;
        var rest = cell.AsSpan(Mark.Length);
        var slash = rest.IndexOf('/');
        if (slash > 0)
        {
            incarnation = rest[(slash + 1)..].ToString();
            rest = rest[..slash];
        }

        var dash = rest.IndexOf('-');
        if (dash <= 0 || !int.TryParse(rest[..dash], out var version) || !long.TryParse(rest[(dash + 1)..], out var row))
            return false;
        id = new RowId(version, row);
        return true;
    }

    private string SpreadsheetPath => "v4/spreadsheets/" + Uri.EscapeDataString(_spreadsheet);

    private string DrivePath(string query) => new Uri(options.DriveUri, "drive/v3/files" + query).AbsoluteUri;

    private string ValuesPath(string range) => $"{SpreadsheetPath}/values/{Uri.EscapeDataString(range)}";

    private static string Quoted(string title) => "'" + title.Replace("'", "''") + "'";

    private async ValueTask<JsonDocument> CallAsync(HttpMethod method, string path, byte[]? body, CancellationToken cancel)
    {
        await quota.EnterAsync(cancel);
        using var limit = new CancellationTokenSource(options.Timeout, time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(cancel, limit.Token);
        try
        {
            for (var attempt = 0; ; attempt++)
            {
                using var request = new HttpRequestMessage(method, new Uri(options.BaseUri, path));
                request.Headers.Authorization = await _token.GetAsync(either.Token);
                if (body is not null)
                {
                    request.Content = new ByteArrayContent(body);
                    request.Content.Headers.ContentType = new MediaTypeHeaderValue("application/json");
                }

                using var answer = await client.SendAsync(request, either.Token);
                if (answer.StatusCode == HttpStatusCode.Unauthorized && attempt == 0)
                {
                    _token.Forget();
                    continue;
                }

                if (await HttpAnswers.FailureAsync(answer, request.RequestUri!.Host, time.GetUtcNow(), either.Token) is { } failure)
                    throw failure;
                return await JsonDocument.ParseAsync(await answer.Content.ReadAsStreamAsync(either.Token), default, either.Token);
            }
        }
        catch (OperationCanceledException) when (!cancel.IsCancellationRequested)
        {
            throw new OutputException($"{options.BaseUri.Host} did not answer within {options.Timeout.TotalSeconds:F0} s");
        }
        catch (Exception e) when (e is HttpRequestException or IOException or JsonException)
        {
            throw new OutputException($"{options.BaseUri.Host}: {e.Message}", e);
        }
    }
}
