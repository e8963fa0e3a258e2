using System.Net;
using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;

namespace Millrace.Outputs.Email;

/// <summary>
/// Rows as mails, many in one. A mail's Message-ID follows from its rows, so the one repeat that is unavoidable (the process died
/// between the server's acceptance and our record) can be told by the mailbox.
/// </summary>
public sealed partial class EmailOutput(OutputSource source, EmailOptions options, SmtpOptions smtp, TimeProvider time) : IOutput
{
    /// <summary>Rows shown in one mail; the rest are counted. A mail of thousands of rows reaches nobody.</summary>
    private const int ShownMax = 100;

    private IReadOnlyList<string> _to = [];

    public string Kind => "email";

    public bool KeepsBooks => false;

    public OutputBatching Batching => new(
        10_000, 8 << 20, options.Digest > TimeSpan.Zero ? options.Digest : TimeSpan.FromSeconds(1));

    public ValueTask<RowId> OpenAsync(CancellationToken cancel)
    {
        _to = MailAddresses.ParseList(options.To);
        return ValueTask.FromResult(RowId.None);
    }

    public async ValueTask AppendAsync(IReadOnlyList<OutputRow> rows, CancellationToken cancel) =>
        await SmtpSession.SendAsync(smtp, Compose(rows), cancel);

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;

    internal Mail Compose(IReadOnlyList<OutputRow> rows)
    {
        var shown = rows.Take(ShownMax).Select(r => JsonDocument.Parse(r.Json)).ToList();
        try
        {
            var columns = shown.SelectMany(d => d.RootElement.EnumerateObject().Select(p => p.Name)).Distinct().ToList();
            var more = rows.Count > ShownMax ? $"… and {rows.Count - ShownMax} more rows." : "";
            var text = new StringBuilder();
            foreach (var document in shown)
            {
                foreach (var property in document.RootElement.EnumerateObject())
                    text.Append(property.Name).Append(": ").Append(Text(property.Value)).Append('\n');
                text.Append('\n');
            }

            var html = new StringBuilder("<!doctype html><html><body><table border=\"1\" cellpadding=\"4\" style=\"border-collapse:collapse\"><tr>");
            foreach (var column in columns)
                html.Append("<th align=\"left\">").Append(WebUtility.HtmlEncode(column)).Append("</th>");
            html.Append("</tr>");
            foreach (var document in shown)
            {
                html.Append("<tr>");
                foreach (var column in columns)
                    html.Append("<td>").Append(document.RootElement.TryGetProperty(column, out var value) ? WebUtility.HtmlEncode(Text(value)) : "").Append("</td>");
                html.Append("</tr>");
            }

            html.Append("</table><p>").Append(more).Append("</p><p>Millrace, job ").Append(WebUtility.HtmlEncode(source.Job)).Append("</p></body></html>");
            text.Append(more).Append("\n-- \nMillrace, job ").Append(source.Job).Append('\n');
            return new Mail(
                smtp.From, _to, Subject(shown[0].RootElement, rows.Count), text.ToString(), html.ToString(), MessageId(rows), time.GetUtcNow());
        }
        finally
        {
            shown.ForEach(d => d.Dispose());
        }
    }

    private string Subject(JsonElement first, int rows)
    {
        var subject = options.Subject.Length > 0 ? options.Subject : $"{source.Job}: {source.Output}";
        subject = Placeholder().Replace(
            subject, match => first.TryGetProperty(match.Groups[1].Value, out var value) ? Text(value) : match.Value);
        return rows > 1 ? $"{subject} (and {rows - 1} more)" : subject;
    }

    private string MessageId(IReadOnlyList<OutputRow> rows)
    {
        var domain = smtp.From[(smtp.From.IndexOf('@') + 1)..];
        var name = Uri.EscapeDataString(source.Job) + "." + Uri.EscapeDataString(source.Output);
        return $"{name.Replace('%', '_')}.{rows[0].Id}.{rows[^1].Id.Row}@{(domain.Length > 0 ? domain : "millrace.invalid")}";
    }

    private static string Text(JsonElement value) => value.ValueKind == JsonValueKind.String ? value.GetString()! : value.GetRawText();

    [GeneratedRegex(@"\{([^{}]+)\}")]
    private static partial Regex Placeholder();
}
