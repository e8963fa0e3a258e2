using System.Text;
using System.Text.Json;
using Millrace.StreamSql.Values;

namespace Millrace.StreamSql.Cases;

/// <summary>
/// When two rows count as equal: absent fields are NULL, numbers agree within 1e-9, ISO timestamps with a zone denote the
/// same instant, records ignore the order of their fields.
/// </summary>
public static class RowComparison
{
    public static bool AreEqual(JsonElement a, JsonElement b)
    {
        if (a.ValueKind != b.ValueKind)
            return false;
        switch (a.ValueKind)
        {
            case JsonValueKind.Object:
                return HaveEqualFields(a, b) && HaveEqualFields(b, a);
            case JsonValueKind.Array:
                return a.GetArrayLength() == b.GetArrayLength() && a.EnumerateArray().Zip(b.EnumerateArray()).All(p => AreEqual(p.First, p.Second));
            case JsonValueKind.Number:
                return AreEqualNumbers(a, b);
            case JsonValueKind.String:
                return AreEqualTexts(a.GetString()!, b.GetString()!);
            default:
                return true;
        }
    }

    private static bool HaveEqualFields(JsonElement a, JsonElement b)
    {
        foreach (var field in a.EnumerateObject())
        {
            if (b.TryGetProperty(field.Name, out var other))
            {
                if (!AreEqual(field.Value, other))
                    return false;
            }
            else if (field.Value.ValueKind != JsonValueKind.Null)
            {
                return false;
            }
        }

        return true;
    }

    private static bool AreEqualNumbers(JsonElement a, JsonElement b)
    {
        if (a.TryGetInt64(out var x) && b.TryGetInt64(out var y))
            return x == y;
        var left = a.GetDouble();
        var right = b.GetDouble();
        return left == right || Math.Abs(left - right) <= 1e-9 * Math.Max(Math.Abs(left), Math.Abs(right));
    }

    private static bool AreEqualTexts(string a, string b)
        => a == b || (HasZone(a) && HasZone(b)
            && IsoTime.TryParse(Encoding.UTF8.GetBytes(a), out var x) && IsoTime.TryParse(Encoding.UTF8.GetBytes(b), out var y) && x == y);

    private static bool HasZone(string text)
        => text.Length > 11 && (text[^1] is 'Z' or 'z' || (text.Length > 16 && text[^6] is '+' or '-'));
}
