namespace Millrace.Outputs.GoogleSheets;

public sealed record SheetsOptions
{
    public static readonly Uri SheetsService = new("https://sheets.googleapis.com");
    public static readonly Uri DriveService = new("https://www.googleapis.com");

    /// <summary>The spreadsheet's id, from its address.</summary>
    public required string Spreadsheet { get; init; }

    /// <summary>Id of a Drive folder for the spreadsheets that follow when one is full; null: none is made, and rows wait for a person.</summary>
    public string? Folder { get; init; }

    /// <summary>A1 notation; the sheet's title before the exclamation mark, <c>Log!A1</c>.</summary>
    public string Range { get; init; } = "Sheet1!A1";

    /// <summary>Full path of a service account's key file, or of a file with client_id, client_secret and refresh_token.</summary>
    public required string Credentials { get; init; }

    /// <summary>The service; another address in tests.</summary>
    public Uri BaseUri { get; init; } = SheetsService;

    /// <summary>The Drive service, asked only with a folder; another address in tests.</summary>
    public Uri DriveUri { get; init; } = DriveService;

    /// <summary>Where tokens come from; null: what the credentials say.</summary>
    public Uri? TokenUri { get; init; }

    /// <summary>A new sheet (tab) begins after so many rows: the service and browsers get slow long before it is full.</summary>
    public int SheetRowsMax { get; init; } = 200_000;

    public TimeSpan Timeout { get; init; } = TimeSpan.FromSeconds(60);
}
