using System.Text;
using Millrace.StreamSql.Values;

namespace Millrace.StreamSql.Expressions;

/// <summary>A LIKE pattern: % any text, _ one character, [abc] [a-f] [^x] one of a set. Characters are code points.</summary>
internal sealed class LikePattern
{
    private enum PartKind : byte
    {
        Literal,
        AnyText,
        AnyCharacter,
        Set,
        NotInSet,
    }

    private readonly record struct Part(PartKind Kind, Rune Literal, (Rune Low, Rune High)[] Set);

    private readonly List<Part> parts = [];

    public static LikePattern Parse(ReadOnlySpan<byte> pattern, Rune? escape)
    {
        var runes = new List<Rune>(pattern.Length);
        while (pattern.Length > 0)
            runes.Add(Characters.Next(ref pattern));
        var result = new LikePattern();
        for (var index = 0; index < runes.Count; index++)
        {
            var current = runes[index];
            if (current == escape && index + 1 < runes.Count)
            {
                result.Add(PartKind.Literal, runes[++index]);
            }
            else if (current.Value == '%')
            {
                if (result.parts.Count == 0 || result.parts[^1].Kind != PartKind.AnyText)
                    result.Add(PartKind.AnyText);
            }
            else if (current.Value == '_')
            {
                result.Add(PartKind.AnyCharacter);
            }
            else if (current.Value == '[' && runes.IndexOf(new Rune(']'), index + 1) is > 0 and var end)
            {
                var negated = index + 1 < end && runes[index + 1].Value == '^';
                result.parts.Add(new Part(
                    negated ? PartKind.NotInSet : PartKind.Set, default, SetOf(runes[(index + (negated ? 2 : 1))..end])));
                index = end;
            }
            else
            {
                result.Add(PartKind.Literal, current);
            }
        }

        return result;
    }

    private void Add(PartKind kind, Rune literal = default) => parts.Add(new Part(kind, literal, []));

    private static (Rune Low, Rune High)[] SetOf(List<Rune> members)
    {
        var set = new List<(Rune, Rune)>();
        for (var index = 0; index < members.Count; index++)
        {
            var isRange = index + 2 < members.Count && members[index + 1].Value == '-';
            set.Add((members[index], members[isRange ? index + 2 : index]));
            if (isRange)
                index += 2;
        }

        return [.. set];
    }

    public bool IsMatch(ReadOnlySpan<byte> text) => Match(text, 0, 0);

    /// <summary>1-based position of the first place where the pattern (without its outer %) fits, 0 if there is none.</summary>
    public static int PositionOf(ReadOnlySpan<byte> pattern, ReadOnlySpan<byte> text)
    {
        // %pat% searches; without the leading % the match must start at 1, without the trailing % it must end at the end.
        var like = Parse(pattern, null);
        if (like.parts is not [{ Kind: PartKind.AnyText }, ..])
            return like.Match(text, 0, 0) ? 1 : 0;
        if (like.parts.Count == 1)
            return 1;
        var next = like.parts.FindIndex(1, p => p.Kind == PartKind.AnyText);
        var position = 1;
        for (var start = 0; start <= text.Length; position++)
        {
            if (next < 0)
            {
                if (like.Match(text, start, 1))
                    return position;
            }
            else if (like.TryRun(text, start, 1, next, out var end))
            {
                // Behind a % less text never fits better: the first place where all up to the next % fits decides.
                return like.Match(text, end, next) ? position : 0;
            }

            start += start < text.Length ? Characters.Skip(text[start..], 1) : 1;
        }

        return 0;
    }

    /// <summary>Fits parts without % one after the other.</summary>
    private bool TryRun(ReadOnlySpan<byte> text, int position, int from, int to, out int end)
    {
        end = position;
        for (var part = from; part < to; part++)
        {
            if (end >= text.Length || !Fits(parts[part], text[end..], out var width))
                return false;
            end += width;
        }

        return true;
    }

    /// <summary>Greedy matching with one point to return to: enough, because a later % makes an earlier one irrelevant.</summary>
    private bool Match(ReadOnlySpan<byte> text, int position, int part)
    {
        var backPart = -1;
        var backPosition = 0;
        while (true)
        {
            if (part == parts.Count)
            {
                // Nothing more is wanted: what is left over belongs to the last %, if that is where the pattern ends.
                if (position == text.Length || backPart == part)
                    return true;
            }
            else if (parts[part].Kind == PartKind.AnyText)
            {
                backPart = ++part;
                backPosition = position;
                continue;
            }
            else if (position < text.Length && Fits(parts[part], text[position..], out var width))
            {
                position += width;
                part++;
                continue;
            }

            if (backPart < 0 || backPosition >= text.Length)
                return false;
            backPosition += Characters.Skip(text[backPosition..], 1);
            position = backPosition;
            part = backPart;
        }
    }

    private static bool Fits(in Part part, ReadOnlySpan<byte> text, out int width)
    {
        Rune.DecodeFromUtf8(text, out var current, out width);
        switch (part.Kind)
        {
            case PartKind.Literal:
                return part.Literal == current;
            case PartKind.AnyCharacter:
                return true;
            default:
                return Contains(part.Set, current) == (part.Kind == PartKind.Set);
        }
    }

    private static bool Contains((Rune Low, Rune High)[] set, Rune current)
    {
        foreach (var (low, high) in set)
        {
            if (current >= low && current <= high)
                return true;
        }

        return false;
    }
}
