namespace Millrace.StreamSql.Expressions;

/// <summary>A LIKE pattern: % any text, _ one character, [abc] [a-f] [^x] one of a set.</summary>
internal sealed class LikePattern
{
    private enum Part : byte
    {
        Literal,
        AnyText,
        AnyCharacter,
        Set,
        NotInSet,
    }

    private readonly List<(Part Part, string Text)> parts = [];

    public static LikePattern Parse(string pattern, char? escape)
    {
        var result = new LikePattern();
        for (var index = 0; index < pattern.Length; index++)
        {
            var current = pattern[index];
            if (current == escape && index + 1 < pattern.Length)
            {
                result.parts.Add((Part.Literal, pattern[++index].ToString()));
            }
            else if (current == '%')
            {
                if (result.parts.Count == 0 || result.parts[^1].Part != Part.AnyText)
                    result.parts.Add((Part.AnyText, ""));
            }
            else if (current == '_')
            {
                result.parts.Add((Part.AnyCharacter, ""));
            }
            else if (current == '[' && pattern.IndexOf(']', index + 1) is > 0 and var end)
            {
                var negated = index + 1 < end && pattern[index + 1] == '^';
                var set = pattern[(index + (negated ? 2 : 1))..end];
                result.parts.Add((negated ? Part.NotInSet : Part.Set, set));
                index = end;
            }
            else
            {
                result.parts.Add((Part.Literal, current.ToString()));
            }
        }

        return result;
    }

    public bool IsMatch(string text) => Match(text, 0, 0);

    /// <summary>1-based position of the first place where the pattern (without its outer %) fits, 0 if there is none.</summary>
    public static int PositionOf(string pattern, string text)
    {
        // %pat% searches; without the leading % the match must start at 1, without the trailing % it must end at the end.
        var anywhere = pattern.StartsWith('%');
        var like = Parse(anywhere ? pattern[1..] : pattern, null);
        for (var start = 0; start <= (anywhere ? text.Length : 0); start++)
        {
            if (like.Match(text, start, 0))
                return start + 1;
        }

        return 0;
    }

    /// <summary>Greedy matching with one point to return to: enough, because a later % makes an earlier one irrelevant.</summary>
    private bool Match(string text, int position, int part)
    {
        var backPart = -1;
        var backPosition = 0;
        while (true)
        {
            if (part == parts.Count)
            {
                if (position == text.Length)
                    return true;
            }
            else if (parts[part].Part == Part.AnyText)
            {
                backPart = ++part;
                backPosition = position;
                continue;
            }
            else if (position < text.Length && Fits(parts[part], text, position, out var width))
            {
                position += width;
                part++;
                continue;
            }

            if (backPart < 0 || backPosition >= text.Length)
                return false;
            position = ++backPosition;
            part = backPart;
        }
    }

    private static bool Fits((Part Part, string Text) part, string text, int position, out int width)
    {
        width = 1;
        var current = text[position];
        switch (part.Part)
        {
            case Part.Literal:
                return part.Text[0] == current;
            case Part.AnyCharacter:
                if (char.IsHighSurrogate(current) && position + 1 < text.Length && char.IsLowSurrogate(text[position + 1]))
                    width = 2;
                return true;
            default:
                return Contains(part.Text, current) == (part.Part == Part.Set);
        }
    }

    private static bool Contains(string set, char current)
    {
        for (var index = 0; index < set.Length; index++)
        {
            if (index + 2 < set.Length && set[index + 1] == '-')
            {
                if (current >= set[index] && current <= set[index + 2])
                    return true;
                index += 2;
            }
            else if (set[index] == current)
            {
                return true;
            }
        }

        return false;
    }
}
