using System.Text;

namespace Millrace.Commands.Transfer;

/// <summary>The records of a CSV file (RFC 4180) one after the other: a quoted field may hold commas, line ends and doubled quotes.</summary>
internal sealed class CsvRecords(string path) : IDisposable
{
    /// <summary>A quote that is never closed must not read the rest of the file into memory.</summary>
    private const int FieldLengthMax = 4 << 20;

    private readonly StreamReader _reader = new(path, Encoding.UTF8);
    private readonly StringBuilder _field = new();
    private readonly StringBuilder _text = new();
    private readonly char[] _buffer = new char[16 << 10];
    private int _at;
    private int _filled;
    private string _lineEnd = "";
    private long _lines;

    /// <summary>Line at which the record begins, from 1.</summary>
    public long Line { get; private set; }

    public List<(string Text, bool Quoted)> Fields { get; private set; } = [];

    /// <summary>What is wrong with the record, or null.</summary>
    public string? Fault { get; private set; }

    /// <summary>The next record that is not an empty line; false at the end.</summary>
    public bool MoveNext()
    {
        while (ReadLine() is { } line)
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
                _field.Append(line, at, line.Length - at).Append(_lineEnd);
                if (_field.Length > FieldLengthMax || ReadLine() is not { } more)
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

    /// <summary>The next line without its end, which <see cref="_lineEnd"/> keeps as it is: in quotes it is part of the text.</summary>
    private string? ReadLine()
    {
        _text.Clear();
        while (Fill())
        {
            var rest = _buffer.AsSpan(_at, _filled - _at);
            var end = rest.IndexOfAny('\r', '\n');
            _text.Append(end < 0 ? rest : rest[..end]);
            _at = end < 0 ? _filled : _at + end + 1;
            if (end < 0)
                continue;

            _lineEnd = rest[end] == '\n' ? "\n" : "\r";
            if (_lineEnd == "\r" && Fill() && _buffer[_at] == '\n')
            {
                _at++;
                _lineEnd = "\r\n";
            }

            return _text.ToString();
        }

        _lineEnd = "";
        return _text.Length > 0 ? _text.ToString() : null;
    }

    private bool Fill()
    {
        if (_at < _filled)
            return true;
        (_at, _filled) = (0, _reader.Read(_buffer));
        return _filled > 0;
    }

    public void Dispose() => _reader.Dispose();
}
