using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Millrace.Testing;

/// <summary>Plays the token service and the part of the Sheets service we use, and checks what it is sent.</summary>
public sealed class SheetsStandIn : IAsyncDisposable
{
    private readonly WebApplication _app;
    private readonly RSA _key = RSA.Create(2048);
    private readonly Lock _gate = new();

    private SheetsStandIn(WebApplication app) => _app = app;

    /// <summary>Sheets of the spreadsheet by title, in order; a sheet is rows of cells.</summary>
    public List<(string Title, List<string[]> Rows)> Sheets { get; } = [("Log", [])];

    /// <summary>Spreadsheets that were made through the Drive service, in order.</summary>
    public List<MadeSpreadsheet> Made { get; } = [];

    /// <summary>What the last token may be used for.</summary>
    public string? Scope { get; private set; }

    /// <summary>Cells a spreadsheet may have, empty ones included, as the service counts them.</summary>
    public long CellsMax { get; set; } = 10_000_000;

    public List<string> Queries { get; } = [];

    public int TokensGiven { get; private set; }

    public string? GrantType { get; private set; }

    /// <summary>Status for a call (method, number of the call), or null to serve it; after: serve it and then fail.</summary>
    public Func<string, int, (int Code, bool After, string? RetryAfter)?> Fault { get; set; } = (_, _) => null;

    public Uri Url => new(_app.Urls.First());

    private readonly Dictionary<List<string[]>, int> _columns = [];
    private int _calls;

    public static async Task<SheetsStandIn> StartAsync()
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        var app = builder.Build();
        var it = new SheetsStandIn(app);
        app.MapPost("/token", it.TokenAsync);
        app.MapFallback(it.CallAsync);
        await app.StartAsync();
        return it;
    }

    public string ServiceAccount() => JsonSerializer.Serialize(new
    {
        type = "service_account",
        client_email = "mill@example.iam",
        private_key = _key.ExportPkcs8PrivateKeyPem(),
        token_uri = "https://token.example/t",
    });

    public async ValueTask DisposeAsync()
    {
        await _app.DisposeAsync();
        _key.Dispose();
    }

    private async Task TokenAsync(HttpContext context)
    {
        var form = await context.Request.ReadFormAsync();
        GrantType = form["grant_type"];
        if (form["assertion"].ToString() is { Length: > 0 } jwt)
        {
            var parts = jwt.Split('.');
            var valid = _key.VerifyData(
                Encoding.ASCII.GetBytes($"{parts[0]}.{parts[1]}"), System.Buffers.Text.Base64Url.DecodeFromChars(parts[2]), HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1);
            var claims = JsonDocument.Parse(System.Buffers.Text.Base64Url.DecodeFromChars(parts[1])).RootElement;
            Scope = claims.GetProperty("scope").GetString();
            if (!valid || claims.GetProperty("iss").GetString() != "mill@example.iam" || claims.GetProperty("exp").GetInt64() - claims.GetProperty("iat").GetInt64() > 3600)
            {
                context.Response.StatusCode = 400;
                await context.Response.WriteAsync("""{"error":"invalid_grant","error_description":"bad signature"}""");
                return;
            }
        }
        else if (form["refresh_token"] != "refresh-me")
        {
            context.Response.StatusCode = 400;
            await context.Response.WriteAsync("""{"error":"invalid_grant"}""");
            return;
        }

        TokensGiven++;
        await context.Response.WriteAsJsonAsync(new { access_token = "token-" + TokensGiven, expires_in = 3599 });
    }

    private async Task CallAsync(HttpContext context)
    {
        using var reader = new StreamReader(context.Request.Body);
        var body = await reader.ReadToEndAsync();
        var path = Uri.UnescapeDataString(context.Request.Path.Value!);
        (int Code, bool After, string? RetryAfter)? fault;
        lock (_gate)
        {
            Queries.Add(context.Request.Method + " " + path + context.Request.QueryString);
            fault = Fault(path.Contains(":append") ? "append" : path.StartsWith("/drive", StringComparison.Ordinal) ? "drive " + context.Request.Method : context.Request.Method, _calls++);
            if (fault is null || fault.Value.After)
                Serve(context, path, body);
        }

        if (fault is { } failing)
        {
            context.Response.Clear();
            context.Response.StatusCode = failing.Code;
            if (failing.RetryAfter is { } after)
                context.Response.Headers.RetryAfter = after;
            return;
        }

        await context.Response.WriteAsync((string)context.Items["answer"]!);
    }

    private void Serve(HttpContext context, string path, string body)
    {
        if (context.Request.Headers.Authorization != "Bearer token-" + TokensGiven)
        {
            context.Response.StatusCode = 401;
            context.Items["answer"] = "{}";
        }
        else if (path.StartsWith("/drive", StringComparison.Ordinal))
        {
            ServeFiles(context, body);
        }
        else if (path.EndsWith(":batchUpdate", StringComparison.Ordinal))
        {
            var properties = JsonElement.Parse(body).GetProperty("requests")[0].GetProperty("addSheet").GetProperty("properties");
            var (title, columns) = (properties.GetProperty("title").GetString()!, properties.GetProperty("gridProperties").GetProperty("columnCount").GetInt32());
            if (!HasCells(context, path, columns))
                return;
            SheetsOf(path).Add((title, []));
            _columns[SheetsOf(path)[^1].Rows] = columns;
            context.Items["answer"] = "{}";
        }
        else if (path.EndsWith(":append", StringComparison.Ordinal))
        {
            var rows = JsonDocument.Parse(body).RootElement.GetProperty("values").EnumerateArray();
            if (!HasCells(context, path, rows.Count() * ColumnsOf(Sheet(path).Rows)))
                return;
            Sheet(path).Rows.AddRange(rows.Select(r => r.EnumerateArray().Select(c => c.ToString()).ToArray()));
            context.Items["answer"] = """{"updates":{}}""";
        }
        else if (path.Contains("/values/"))
        {
            var range = path[(path.LastIndexOf('!') + 1)..].Split(':');
            var (from, to) = (int.Parse(range[0][1..]), int.Parse(range[1][1..]));
            var cells = Sheet(path).Rows.Skip(from - 1).Take(to - from + 1).Select(r => new[] { r[0] }).ToArray();
            context.Items["answer"] = cells.Length == 0 ? "{}" : JsonSerializer.Serialize(new { values = cells });
        }
        else
        {
            context.Items["answer"] = JsonSerializer.Serialize(new
            {
                // As the service does: a grid of a thousand empty rows below what is there.
                sheets = SheetsOf(path).Select(s => new { properties = new { title = s.Title, gridProperties = new { rowCount = s.Rows.Count + 1000 } } }),
            });
        }
    }

    private void ServeFiles(HttpContext context, string body)
    {
        if (context.Request.Method == HttpMethods.Post)
        {
            var file = JsonElement.Parse(body);
            var properties = file.GetProperty("appProperties").Deserialize<Dictionary<string, string>>()!;
            Made.Add(new MadeSpreadsheet($"made-{Made.Count}", file.GetProperty("parents")[0].GetString()!, properties, [("Sheet1", [])]));
            context.Items["answer"] = JsonSerializer.Serialize(new { id = Made[^1].Id });
            return;
        }

        var query = context.Request.Query["q"].ToString();
        var files = Made.Where(m => m.Properties.Any(p => query.Contains($"key='{p.Key}' and value='{p.Value}'")));
        context.Items["answer"] = JsonSerializer.Serialize(new { files = files.Select(m => new { id = m.Id, appProperties = m.Properties }) });
    }

    private List<(string Title, List<string[]> Rows)> SheetsOf(string path) =>
        Made.Find(m => path.StartsWith($"/v4/spreadsheets/{m.Id}", StringComparison.Ordinal))?.Sheets ?? Sheets;

    private int ColumnsOf(List<string[]> rows) => _columns.GetValueOrDefault(rows, 26);

    private bool HasCells(HttpContext context, string path, int more)
    {
        if (SheetsOf(path).Sum(s => (long)s.Rows.Count * ColumnsOf(s.Rows)) + more <= CellsMax)
            return true;
        context.Response.StatusCode = 400;
        context.Items["answer"] =
            "{\n \"error\": {\n  \"code\": 400,\n  \"message\": \"This action would increase the number of cells in the workbook above the limit of 10000000 cells.\"\n }\n}";
        return false;
    }

    private (string Title, List<string[]> Rows) Sheet(string path)
    {
        var title = path[(path.LastIndexOf('/') + 1)..path.LastIndexOf('!')].Trim('\'');
        return SheetsOf(path).Single(s => s.Title == title);
    }
}

/// <summary>A spreadsheet that the program under test has made.</summary>
/// <param name="Folder">Where it was made.</param>
/// <param name="Properties">The file's own, seen by nobody else.</param>
public sealed record MadeSpreadsheet(string Id, string Folder, Dictionary<string, string> Properties, List<(string Title, List<string[]> Rows)> Sheets);
