using System.Text.Json.Nodes;

namespace Millrace.Jobs.Definitions;

/// <summary>Takes members out of an output's specification; what is missing or of the wrong kind becomes one clear sentence.</summary>
internal sealed class SpecReader(JsonObject spec, string path)
{
    public List<JobError> Errors { get; } = [];

    public string Required(string name)
    {
        if (Text(name) is { Length: > 0 } text)
            return text;
        Wrong(name, "a text is needed");
        return "";
    }

    public string? Text(string name)
    {
        if (spec[name] is not { } value)
            return null;
        if (value is JsonValue text && text.TryGetValue<string>(out var found))
            return found;
        Wrong(name, "a string is expected");
        return null;
    }

    public double Number(string name, double fallback, double least, double most)
    {
        if (spec[name] is not { } value)
            return fallback;
        if (value is JsonValue number && number.TryGetValue<double>(out var found) && found >= least && found <= most)
            return found;
        Wrong(name, $"a number from {least} to {most} is expected");
        return fallback;
    }

    public bool Bit(string name)
    {
        if (spec[name] is not { } value)
            return false;
        if (value is JsonValue bit && bit.TryGetValue<bool>(out var found))
            return found;
        Wrong(name, "true or false is expected");
        return false;
    }

    /// <summary>A time span: seconds, or a text like 90s, 15m, 2h, 1d.</summary>
    public TimeSpan? Span(string name)
    {
        if (spec[name] is not JsonValue value)
            return null;
        if (value.TryGetValue<double>(out var seconds) && seconds is >= 0 and <= 400 * 86_400.0)
            return TimeSpan.FromSeconds(seconds);
        if (value.TryGetValue<string>(out var text) && text.Length > 1
            && double.TryParse(text.AsSpan(0, text.Length - 1), System.Globalization.CultureInfo.InvariantCulture, out var amount) && amount is >= 0 and < 1e7)
        {
            switch (text[^1])
            {
                case 's': return TimeSpan.FromSeconds(amount);
                case 'm': return TimeSpan.FromMinutes(amount);
                case 'h': return TimeSpan.FromHours(amount);
                case 'd': return TimeSpan.FromDays(amount);
            }
        }

        Wrong(name, "a time is seconds, or a text like 90s, 15m, 2h, 1d");
        return null;
    }

    public IReadOnlyList<string> Texts(string name)
    {
        switch (spec[name])
        {
            case null:
                return [];
            case JsonArray array when array.All(i => i is JsonValue v && v.TryGetValue<string>(out _)):
                return [.. array.Select(i => i!.GetValue<string>())];
            case JsonValue single when single.TryGetValue<string>(out var text):
                return [text];
            default:
                Wrong(name, "a list of strings is expected");
                return [];
        }
    }

    public Uri? Address(string name)
    {
        if (Text(name) is not { } text)
            return null;
        if (Uri.TryCreate(text, UriKind.Absolute, out var uri) && uri.Scheme is "http" or "https")
            return uri;
        Wrong(name, $"'{text}' is not an http or https address");
        return null;
    }

    public void Wrong(string name, string message) => Errors.Add(new JobError(1, 1, $"{path}.{name}: {message}"));
}
