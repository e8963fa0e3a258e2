using System.Globalization;
using System.Text;

namespace Millrace.StreamSql.Syntax;

internal enum TokenKind : byte
{
    End,
    Word,
    Quoted,
    Text,
    Whole,
    Float,
    Symbol,
    Error,
}

/// <summary>One token: its text without quotes, and where it starts in the script.</summary>
internal readonly record struct Token(TokenKind Kind, string Text, int Position)
{
    public bool Is(string word) => Kind == TokenKind.Word && Text.Equals(word, StringComparison.OrdinalIgnoreCase);

    public bool IsSymbol(string symbol) => Kind == TokenKind.Symbol && Text == symbol;

    /// <summary>The token as people are told of it.</summary>
    public string Shown => Kind switch
    {
        TokenKind.End => "the end of the query",
        TokenKind.Text => "a string",
        TokenKind.Quoted => $"[{Text}]",
        _ => $"'{(Text.Length > 60 ? Text[..60] + "…" : Text)}'",
    };
}

/// <summary>Splits a script into tokens. An unterminated string, comment or bracket becomes an error token, the last one.</summary>
internal static class Lexer
{
    private static readonly HashSet<string> Reserved = new(StringComparer.OrdinalIgnoreCase)
    {
        "SELECT", "INTO", "FROM", "WHERE", "GROUP", "HAVING", "UNION", "WITH", "AS", "ON", "JOIN", "INNER", "LEFT", "OUTER",
        "CROSS", "APPLY", "TIMESTAMP", "OVER", "PARTITION", "AND", "OR", "NOT", "IN", "IS", "NULL", "LIKE", "BETWEEN", "CASE", "WHEN",
        "THEN", "ELSE", "END", "DISTINCT", "LIMIT", "ORDER", "RIGHT", "FULL", "MATCH_RECOGNIZE", "ESCAPE",
    };

    public static bool IsReserved(string word) => Reserved.Contains(word);

    public static List<Token> Read(string text)
    {
        var tokens = new List<Token>();
        var index = 0;
        while (true)
        {
            var error = SkipBlank(text, ref index);
            if (error is { } comment)
            {
                tokens.Add(comment);
                break;
            }

            if (index >= text.Length)
                break;
            var token = Next(text, ref index);
            tokens.Add(token);
            if (token.Kind == TokenKind.Error)
                break;
        }

        tokens.Add(new Token(TokenKind.End, "", text.Length));
        return tokens;
    }

    private static Token? SkipBlank(string text, ref int index)
    {
        while (index < text.Length)
        {
            if (char.IsWhiteSpace(text[index]) || text[index] == '\uFEFF')
            {
                index++;
            }
            else if (text[index] == '-' && index + 1 < text.Length && text[index + 1] == '-')
            {
                while (index < text.Length && text[index] is not ('\n' or '\r'))
                    index++;
            }
            else if (text[index] == '/' && index + 1 < text.Length && text[index + 1] == '*')
            {
                var end = text.IndexOf("*/", index + 2, StringComparison.Ordinal);
                if (end < 0)
                    return new Token(TokenKind.Error, "unterminated comment: */ is missing", index);
                index = end + 2;
            }
            else
            {
                break;
            }
        }

        return null;
    }

    private static Token Next(string text, ref int index)
    {
        var start = index;
        var current = text[index];
        if (current is '\'' or '"')
            return ReadText(text, start, ref index);
        if (current is 'N' or 'n' && index + 1 < text.Length && text[index + 1] == '\'')
        {
            index++;
            return ReadText(text, start, ref index);
        }

        if (current == '[')
        {
            var end = text.IndexOf(']', index + 1);
            if (end < 0)
                return new Token(TokenKind.Error, "unterminated bracket: ] is missing", start);
            index = end + 1;
            return new Token(TokenKind.Quoted, text[(start + 1)..end], start);
        }

        if (char.IsAsciiDigit(current) || (current == '.' && index + 1 < text.Length && char.IsAsciiDigit(text[index + 1])))
            return ReadNumber(text, ref index);
        if (IsWordStart(current))
        {
            while (index < text.Length && (IsWordStart(text[index]) || char.IsDigit(text[index]) || text[index] is '@' or '#' or '$'))
                index++;
            return new Token(TokenKind.Word, text[start..index], start);
        }

        var two = index + 1 < text.Length ? text.Substring(index, 2) : "";
        if (two is "<>" or "!=" or "<=" or ">=")
        {
            index += 2;
            return new Token(TokenKind.Symbol, two == "!=" ? "<>" : two, start);
        }

        index++;
        if ("()*,.;=<>+-/%|?".Contains(current, StringComparison.Ordinal))
            return new Token(TokenKind.Symbol, current.ToString(), start);
        if (char.IsHighSurrogate(current) && index < text.Length)
            index++;
        return new Token(TokenKind.Error, $"unexpected character '{text[start..index]}'", start);
    }

    private static bool IsWordStart(char current) => char.IsLetter(current) || current == '_';

    private static Token ReadText(string text, int start, ref int index)
    {
        var quote = text[index];
        var value = new StringBuilder();
        for (index++; index < text.Length; index++)
        {
            if (text[index] != quote)
            {
                value.Append(text[index]);
            }
            else if (index + 1 < text.Length && text[index + 1] == quote)
            {
                value.Append(quote);
                index++;
            }
            else
            {
                index++;
                return new Token(TokenKind.Text, value.ToString(), start);
            }
        }

        return new Token(TokenKind.Error, $"unterminated string: the closing {quote} is missing", start);
    }

    private static Token ReadNumber(string text, ref int index)
    {
        var start = index;
        var kind = TokenKind.Whole;
        while (index < text.Length && char.IsAsciiDigit(text[index]))
            index++;
        if (index < text.Length && text[index] == '.')
        {
            kind = TokenKind.Float;
            for (index++; index < text.Length && char.IsAsciiDigit(text[index]); index++)
            {
            }
        }

        if (index < text.Length && text[index] is 'e' or 'E')
        {
            var exponent = index + 1;
            if (exponent < text.Length && text[exponent] is '+' or '-')
                exponent++;
            if (exponent < text.Length && char.IsAsciiDigit(text[exponent]))
            {
                kind = TokenKind.Float;
                for (index = exponent; index < text.Length && char.IsAsciiDigit(text[index]); index++)
                {
                }
            }
        }

        var number = text[start..index];
        if (index < text.Length && IsWordStart(text[index]))
            return new Token(TokenKind.Error, $"a number followed by '{text[index]}'", start);
        if (kind == TokenKind.Whole && !long.TryParse(number, NumberStyles.None, CultureInfo.InvariantCulture, out _))
            kind = TokenKind.Float;
        if (kind == TokenKind.Float && !double.IsFinite(double.Parse(number, CultureInfo.InvariantCulture)))
            return new Token(TokenKind.Error, $"the number {number} is too large", start);
        return new Token(kind, number, start);
    }
}
