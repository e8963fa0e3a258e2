using System.Globalization;
using System.Text.Json;
using Millrace.History.Registers;

namespace Millrace.History.Types;

/// <summary>
/// Reads the declaration of a device type. Members it does not know are left to whoever put them there; every mistake in those it knows is
/// told at once.
/// </summary>
public static class DeviceTypeReader
{
    /// <summary>DECIMAL beyond this would not fit eight bytes.</summary>
    private const int PrecisionMax = 18;

    /// <returns>Null when there are mistakes.</returns>
    public static DeviceType? Read(string name, JsonElement json, List<string> mistakes)
    {
        ArgumentNullException.ThrowIfNull(mistakes);
        var fields = new Dictionary<string, DeclaredField>(StringComparer.Ordinal);
        if (Member(json, "fields", JsonValueKind.Object, "fields", mistakes) is { } declared)
        {
            foreach (var field in declared.EnumerateObject())
            {
                if (Field(field.Name, field.Value, mistakes) is { } read)
                    fields[field.Name] = read;
            }
        }

        var balances = new List<BalanceRule>();
        if (Member(json, "balance", JsonValueKind.Array, "balance", mistakes) is { } rules)
        {
            foreach (var rule in rules.EnumerateArray())
                Balance(rule, $"balance[{balances.Count}]", balances, mistakes);
        }

        var type = new DeviceType(name, fields, balances, Interval(json, mistakes), Text(json, "quality", "quality", mistakes));
        return mistakes.Count == 0 ? type : null;
    }

    private static DeclaredField? Field(string name, JsonElement json, List<string> mistakes)
    {
        var path = $"fields.{name}";
        if (json.ValueKind != JsonValueKind.Object)
        {
            mistakes.Add($"{path} has to be an object.");
            return null;
        }

        var unit = Text(json, "unit", path, mistakes);
        return new DeclaredField(name, Text(json, "label", path, mistakes), unit, Register(name, json, unit, mistakes), Column(json, path, mistakes));
    }

    /// <summary>{"register":true} or {"register":{"digits":5,"resolution":0.001,…}}.</summary>
    private static RegisterDefinition? Register(string name, JsonElement field, string? unit, List<string> mistakes)
    {
        var path = $"fields.{name}.register";
        if (!field.TryGetProperty("register", out var json) || json.ValueKind is JsonValueKind.Null or JsonValueKind.False)
            return null;
        if (json.ValueKind == JsonValueKind.True)
            return new RegisterDefinition { Field = name, Unit = unit ?? "" };
        if (json.ValueKind != JsonValueKind.Object)
        {
            mistakes.Add($"{path} has to be true or an object.");
            return null;
        }

        var register = new RegisterDefinition
        {
            Field = name,
            Unit = Text(json, "unit", path, mistakes) ?? unit ?? "",
            Digits = (int)(Number(json, "digits", path, mistakes) is { } digits ? Math.Clamp(decimal.Truncate(digits), -1, 1000) : 0),
            Resolution = Number(json, "resolution", path, mistakes) ?? 1m,
            WrapAt = Number(json, "wrapAt", path, mistakes),
            MaxPerHour = Number(json, "maxPerHour", path, mistakes),
        };
        mistakes.AddRange(register.Validate().Select(mistake => $"{path}.{mistake}."));
        return register;
    }

    /// <summary>{"column":"int64"} or {"column":"decimal(12,3)"}.</summary>
    private static DeclaredColumn? Column(JsonElement field, string path, List<string> mistakes)
    {
        if (Text(field, "column", path, mistakes) is not { } text)
            return null;
        if (text == "int64")
            return new DeclaredColumn(ColumnKind.Int64, 19, 0);

        var parts = text.StartsWith("decimal(", StringComparison.Ordinal) && text.EndsWith(')') ? text[8..^1].Split(',', StringSplitOptions.TrimEntries) : [];
        if (parts.Length == 2 && int.TryParse(parts[0], NumberStyles.None, CultureInfo.InvariantCulture, out var precision)
            && int.TryParse(parts[1], NumberStyles.None, CultureInfo.InvariantCulture, out var scale)
            && precision is >= 1 and <= PrecisionMax && scale <= precision)
        {
            return new DeclaredColumn(ColumnKind.Decimal, precision, scale);
        }

        mistakes.Add($"{path}.column is '{text}'; it can be int64 or decimal(p,s) with p from 1 to {PrecisionMax} and s from 0 to p.");
        return null;
    }

    /// <summary>{"total":"bought","parts":["left","used"],"tolerance":0.001}.</summary>
    private static void Balance(JsonElement json, string path, List<BalanceRule> rules, List<string> mistakes)
    {
        if (json.ValueKind != JsonValueKind.Object)
        {
            mistakes.Add($"{path} has to be an object such as {{\"total\":\"bought\",\"parts\":[\"left\",\"used\"]}}.");
            return;
        }

        var total = Text(json, "total", path, mistakes);
        var parts = Member(json, "parts", JsonValueKind.Array, $"{path}.parts", mistakes) is { } array
            ? array.EnumerateArray().Where(part => part.ValueKind == JsonValueKind.String).Select(part => part.GetString()!).ToList()
            : [];
        var tolerance = Number(json, "tolerance", path, mistakes) ?? 0;
        if (total is null || parts.Count == 0 || tolerance < 0)
            mistakes.Add($"{path} needs 'total', a list of names in 'parts', and a 'tolerance' that is not negative if any.");
        else
            rules.Add(new BalanceRule(total, parts, tolerance));
    }

    private static long? Interval(JsonElement json, List<string> mistakes)
    {
        if (Text(json, "expectedInterval", "", mistakes) is not { } text)
            return null;
        var unit = text.Length > 1 ? text[^1] switch { 's' => 1, 'm' => 60, 'h' => 3600, 'd' => 86_400, _ => 0 } : 0;
        if (unit > 0 && int.TryParse(text.AsSpan(0, text.Length - 1), NumberStyles.None, CultureInfo.InvariantCulture, out var count) && count > 0)
            return count * (long)unit * Core.Micros.PerSecond;

        mistakes.Add($"expectedInterval is '{text}'; it has to be a length such as 30s, 15m, 1h or 1d.");
        return null;
    }

    private static JsonElement? Member(JsonElement json, string name, JsonValueKind kind, string path, List<string> mistakes)
    {
        if (!json.TryGetProperty(name, out var member) || member.ValueKind == JsonValueKind.Null)
            return null;
        if (member.ValueKind == kind)
            return member;

        mistakes.Add($"{path} has to be {(kind == JsonValueKind.Array ? "a list" : "an object")}.");
        return null;
    }

    private static string? Text(JsonElement json, string name, string path, List<string> mistakes)
    {
        if (!json.TryGetProperty(name, out var member) || member.ValueKind == JsonValueKind.Null)
            return null;
        if (member.ValueKind == JsonValueKind.String)
            return member.GetString();

        mistakes.Add($"{(path.Length == 0 || path == name ? name : $"{path}.{name}")} has to be text.");
        return null;
    }

    private static decimal? Number(JsonElement json, string name, string path, List<string> mistakes)
    {
        if (!json.TryGetProperty(name, out var member) || member.ValueKind == JsonValueKind.Null)
            return null;
        if (member.ValueKind == JsonValueKind.Number && member.TryGetDecimal(out var value))
            return value;

        mistakes.Add($"{path}.{name} has to be a number.");
        return null;
    }
}
