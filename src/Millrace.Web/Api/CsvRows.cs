using System.Text;

namespace Millrace.Web.Api;

/// <summary>Comma-separated values as RFC 4180 has them: quotes around fields with commas, quotes or line ends.</summary>
internal static class CsvRows
{
    /// <summary>The rows; blank lines are left out. A quote that never closes takes the rest as its field.</summary>
    public static IEnumerable<string[]> Parse(string text)
    {
        List<string> row = [];
        var field = new StringBuilder();
        var quoted = false;
        for (var i = 0; i <= text.Length; i++)
        {
            var end = i == text.Length;
            var c = end ? '\n' : text[i];
            if (quoted && !end)
            {
                if (c != '"')
                    field.Append(c);
                else if (i + 1 < text.Length && text[i + 1] == '"')
                    field.Append(text[++i]);
                else
                    quoted = false;
                continue;
            }

            switch (c)
            {
                case '"' when field.Length == 0:
                    quoted = true;
                    break;
                case ',':
                    row.Add(field.ToString());
                    field.Clear();
                    break;
                case '\r':
                    break;
                case '\n':
                    row.Add(field.ToString());
                    field.Clear();
                    if (row.Count > 1 || row[0].Length > 0)
                        yield return [.. row];
                    row.Clear();
                    break;
                default:
                    field.Append(c);
                    break;
            }
        }
    }
}
