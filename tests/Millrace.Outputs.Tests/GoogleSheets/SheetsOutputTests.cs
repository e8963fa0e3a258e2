using System.Text;
using Millrace.Outputs.GoogleSheets;
using Millrace.Outputs.Webhook;
using Millrace.Testing;

namespace Millrace.Outputs.Tests.GoogleSheets;

public sealed class SheetsConformanceTests : OutputConformance
{
    protected override async Task<OutputTarget> StartAsync() => new SheetsTarget(await SheetsStandIn.StartAsync());

    private sealed class SheetsTarget(SheetsStandIn service) : OutputTarget
    {
        private readonly HttpClient _client = GuardedHttp.Create();

        public override IOutput Create()
        {
            File.WriteAllText(Folder["key.json"], service.ServiceAccount());
            return new SheetsOutput(
                Source,
                new SheetsOptions { Spreadsheet = "abc", Range = "Log!A1", Credentials = Folder["key.json"], BaseUri = service.Url, TokenUri = new Uri(service.Url, "token"), SheetRowsMax = 50 },
                _client, new SheetsQuota(TimeProvider.System, 100_000), TimeProvider.System);
        }

        public override Task<IReadOnlyList<long>> HeldAsync() => Task.FromResult<IReadOnlyList<long>>(
            [.. service.Sheets.SelectMany(s => s.Rows).Where(r => r[0] != "row").Select(r => long.Parse(r[2]))]);

        public override async ValueTask DisposeAsync()
        {
            _client.Dispose();
            await service.DisposeAsync();
            await base.DisposeAsync();
        }
    }
}

public sealed class SheetsOutputTests : IDisposable
{
    private readonly TempFolder _folder = new();
    private readonly HttpClient _client = GuardedHttp.Create();
    private readonly ManualTime _time = new();

    public void Dispose()
    {
        _client.Dispose();
        _folder.Dispose();
    }

    [Fact]
    public async Task Rows_are_appended_raw_below_a_header_and_formulas_stay_text()
    {
        await using var service = await SheetsStandIn.StartAsync();
        var output = Output(service);
        await output.OpenAsync(default);

        await output.AppendAsync([Row(0, """{"id":"=IMPORTXML(1)","v":1.5,"o":{"a":1},"n":null}""")], default);

        Assert.Contains(service.Queries, q => q.Contains(":append?valueInputOption=RAW&insertDataOption=INSERT_ROWS"));
        Assert.Equal(["row", "time", "id", "v", "o", "n"], service.Sheets[0].Rows[0]);
        Assert.Equal(["j/o/1-0", "2026-01-01T00:00:00.000000Z", "=IMPORTXML(1)", "1.5", "{\"a\":1}", ""], service.Sheets[0].Rows[1]);
    }

    [Fact]
    public async Task A_token_is_used_until_five_minutes_before_its_end()
    {
        await using var service = await SheetsStandIn.StartAsync();
        var output = Output(service);
        await output.OpenAsync(default);

        _time.Advance(TimeSpan.FromMinutes(54));
        await output.AppendAsync([Row(0, "{}")], default);
        var before = service.TokensGiven;
        _time.Advance(TimeSpan.FromMinutes(2));
        await output.AppendAsync([Row(1, "{}")], default);

        Assert.Equal(1, before);
        Assert.Equal(2, service.TokensGiven);
        Assert.Equal("urn:ietf:params:oauth:grant-type:jwt-bearer", service.GrantType);
    }

    [Fact]
    public async Task A_refresh_token_works_too()
    {
        await using var service = await SheetsStandIn.StartAsync();
        var output = Output(service, """{"client_id":"c","client_secret":"s","refresh_token":"refresh-me"}""");

        await output.OpenAsync(default);

        Assert.Equal("refresh_token", service.GrantType);
    }

    [Theory]
    [InlineData(429, false)]
    [InlineData(503, false)]
    [InlineData(403, true)]
    [InlineData(404, true)]
    public async Task The_services_answers_are_passing_failures_or_refusals(int code, bool refused)
    {
        await using var service = await SheetsStandIn.StartAsync();
        service.Fault = (call, _) => call == "append" ? (code, false, "9") : null;
        var output = Output(service);
        await output.OpenAsync(default);

        var error = await Assert.ThrowsAsync<OutputException>(() => output.AppendAsync([Row(0, "{}")], default).AsTask());

        Assert.Equal(refused, error.Refused);
        Assert.Equal(TimeSpan.FromSeconds(9), error.RetryAfter);
    }

    [Fact]
    public async Task After_an_uncertain_append_the_sheet_says_what_it_has()
    {
        await using var service = await SheetsStandIn.StartAsync();
        var output = Output(service);
        await output.OpenAsync(default);
        service.Fault = (call, _) => call == "append" ? (500, true, null) : null;

        await Assert.ThrowsAsync<OutputException>(() => output.AppendAsync([Row(0, "{}"), Row(1, "{}")], default).AsTask());
        var held = await output.OpenAsync(default);

        Assert.Equal(new RowId(1, 1), held);
    }

    [Fact]
    public async Task A_spreadsheet_without_cells_for_another_row_goes_on_in_a_lean_sheet_and_then_says_what_to_do()
    {
        await using var service = await SheetsStandIn.StartAsync();
        // A header and ten rows of 26 columns; what is left is too little for another, and enough for a header and two rows of seven.
        service.CellsMax = (11 * 26) + 25;
        var output = Output(service);
        await output.OpenAsync(default);
        for (var n = 0; n < 12; n++)
            await output.AppendAsync([Row(n, $$"""{"n":{{n}}}""")], default);

        var full = await Assert.ThrowsAsync<OutputException>(() => output.AppendAsync([Row(12, """{"n":12}""")], default).AsTask());
        var held = await Output(service).OpenAsync(default);

        Assert.Equal(["Log", "Log 2"], service.Sheets.Select(s => s.Title));
        Assert.Equal(Enumerable.Range(0, 12).Select(n => $"{n}"), service.Sheets.SelectMany(s => s.Rows).Where(r => r[0] != "row").Select(r => r[2]));
        Assert.Equal(new RowId(1, 11), held);
        Assert.True(full.Refused);
        Assert.Contains("put its id into the job", full.Message);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_full_spreadsheet_is_followed_by_one_in_the_folder_which_a_restart_finds_again(bool answerLost)
    {
        await using var service = await SheetsStandIn.StartAsync();
        service.CellsMax = 12 * 26;
        var lost = answerLost;
        service.Fault = (call, _) => call == "drive POST" && Interlocked.Exchange(ref lost, false) ? (500, true, null) : null;
        var output = Output(service, folder: "shared-folder");
        await output.OpenAsync(default);
        for (var n = 0; n < 120; n++)
        {
            try
            {
                await output.AppendAsync([Row(n, $$"""{"n":{{n}}}""")], default);
            }
            catch (OutputException e) when (!e.Refused)
            {
                // As the pump does: ask what is there, from a new process even, and go on behind that and behind what it knows to be taken.
                output = Output(service, folder: "shared-folder");
                n = Math.Max(n - 1, (int)(await output.OpenAsync(default)).Row);
            }
        }

        var held = await Output(service, folder: "shared-folder").OpenAsync(default);

        var rows = service.Sheets.Concat(service.Made.SelectMany(m => m.Sheets)).SelectMany(s => s.Rows).Where(r => r[0] != "row").Select(r => int.Parse(r[2]));
        Assert.Equal(Enumerable.Range(0, 120), rows);
        Assert.Equal(new RowId(1, 119), held);
        Assert.True(service.Made.Count > 1, "only one spreadsheet followed");
        Assert.All(service.Made, made => Assert.Equal("shared-folder", made.Folder));
        Assert.Contains("https://www.googleapis.com/auth/drive", service.Scope!.Split(' '));
    }

    [Fact]
    public async Task Without_a_folder_the_account_is_asked_for_spreadsheets_alone()
    {
        await using var service = await SheetsStandIn.StartAsync();

        await Output(service).OpenAsync(default);

        Assert.Equal("https://www.googleapis.com/auth/spreadsheets", service.Scope);
        Assert.DoesNotContain(service.Queries, q => q.Contains("/drive/"));
    }

    [Fact]
    public async Task Calls_stay_within_the_quota()
    {
        await using var service = await SheetsStandIn.StartAsync();
        var quota = new SheetsQuota(_time, 3);
        for (var i = 0; i < 3; i++)
            await quota.EnterAsync(default);

        var fourth = quota.EnterAsync(default).AsTask();
        var waited = !fourth.IsCompleted;
        _time.Advance(TimeSpan.FromSeconds(61));
        await fourth.WaitAsync(TimeSpan.FromSeconds(30));

        Assert.True(waited);
    }

    private SheetsOutput Output(SheetsStandIn service, string? credentials = null, string? folder = null)
    {
        File.WriteAllText(_folder["key.json"], credentials ?? service.ServiceAccount());
        return new SheetsOutput(
            new OutputSource("j", "o"),
            new SheetsOptions { Spreadsheet = "abc", Range = "Log!A1", Credentials = _folder["key.json"], BaseUri = service.Url, DriveUri = service.Url, Folder = folder, TokenUri = new Uri(service.Url, "token") },
            _client, new SheetsQuota(_time, 100_000), _time);
    }

    private static OutputRow Row(long row, string json) => new(new RowId(1, row), 1_767_225_600_000_000, Encoding.UTF8.GetBytes(json));
}
