using System.Text;

namespace Millrace.Commands.Transfer;

/// <summary>The records of a CSV file (RFC 4180) one after the other: a quoted field may hold commas, line ends and doubled quotes.</summary>
internal sealed class CsvRecords(string path) : IDisposable
{
    /// <summary>A quote that is never closed must not read the rest of the file into memory.</summary>
    private const int FieldLengthMax = 4 << 20;

    private readonly StreamReader _reader = new(path, Encoding.UTF8);
    private readonly StringBuilder _field = new();
    private long _lines;

    /// <summary>Line at which the record begins, from 1.</summary>
    public long Line { get; private set; }

    public List<(string Text, bool Quoted)> Fields { get; private set; } = [];

    /// <summary>What is wrong with the record, or null.</summary>
    public string? Fault { get; private set; }

    /// <summary>The next record that is not an empty line; false at the end.</summary>
    public bool MoveNext()
    {
        while (_reader.ReadLine() is { } line)
        {
            Line = ++_lines;
            if (line.Length == 0)
                continue;
            (Fields, Fault) = ([], null);
            Read(line);
            return true;
        }

        return false;
    }

    private void Read(string line)
    {
        for (var at = 0; ; at++)
        {
            if (at < line.Length && line[at] == '"')
            {
                if (!TryReadQuoted(ref line, ref at))
                    return;
            }
            else
            {
                var end = line.IndexOf(',', at);
                end = end < 0 ? line.Length : end;
                Fields.Add((line[at..end], false));
                at = end;
            }

            if (at >= line.Length)
                return;
        }
    }

    /// <summary>Reads on over line ends; leaves <paramref name="at"/> behind the closing quote.</summary>
    private bool TryReadQuoted(ref string line, ref int at)
    {
        _field.Clear();
        at++;
        while (true)
        {
            var quote = line.IndexOf('"', at);
            if (quote < 0)
            {
                _field.Append(line, at, line.Length - at).Append('\n');
                if (_field.Length > FieldLengthMax || _reader.ReadLine() is not { } more)
                {
                    Fault = "has a quote that is not closed";
                    return false;
                }

                (line, at) = (more, 0);
                _lines++;
                continue;
            }

            _field.Append(line, at, quote - at);
            at = quote + 1;
            if (at < line.Length && line[at] == '"')
            {
                _field.Append('"');
                at++;
                continue;
            }

            if (at < line.Length && line[at] != ',')
            {
                Fault = "has text behind a closing quote";
                return false;
            }

            Fields.Add((_field.ToString(), true));
            return true;
        }
    }

    public void Dispose() => _reader.Dispose();
}
