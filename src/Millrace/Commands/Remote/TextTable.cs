using System.Text;

namespace Millrace.Commands.Remote;

/// <summary>Columns of text, aligned; numbers to the right.</summary>
internal sealed class TextTable(params string[] header)
{
    private readonly List<string[]> _rows = [];

    public void Add(params string[] cells) => _rows.Add(cells);

    public override string ToString()
    {
        var widths = header.Select((title, i) => _rows.Select(row => row[i].Length).Append(title.Length).Max()).ToArray();
        var right = header.Select((_, i) => _rows.Count > 0 && _rows.All(row => IsNumber(row[i]))).ToArray();
        var text = new StringBuilder();
        foreach (var row in _rows.Prepend(header))
        {
            var line = row.Select((cell, i) => right[i] ? cell.PadLeft(widths[i]) : cell.PadRight(widths[i]));
            text.AppendLine(string.Join("  ", line).TrimEnd());
        }

        return text.ToString();
    }

    private static bool IsNumber(string cell) => cell.Length > 0 && cell.All(c => char.IsAsciiDigit(c) || c is ',' or '.' or '-');
}
