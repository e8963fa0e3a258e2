using System.Globalization;
using System.Net;
using Microsoft.Extensions.Configuration;

namespace Millrace.Settings;

/// <summary>One setting as documented: the reference page is made of these.</summary>
internal sealed record OptionDoc(string Key, string Default, string Meaning);

/// <summary>
/// Reads settings by name, collecting every mistake instead of stopping at the first, and remembers which names exist so
/// that an unknown key is a mistake too. Each read also documents the setting.
/// </summary>
internal sealed class OptionReader(IConfiguration configuration)
{
    private readonly List<string> _errors = [];
    private readonly List<OptionDoc> _docs = [];
    private readonly HashSet<string> _known = new(StringComparer.OrdinalIgnoreCase);

    public IReadOnlyList<OptionDoc> Docs => _docs;

    public string Text(string key, string fallback, string meaning) => Find(key, fallback, meaning) ?? fallback;

    public string? OptionalText(string key, string meaning) => Find(key, "", meaning) is { Length: > 0 } text ? text : null;

    public bool Flag(string key, bool fallback, string meaning)
    {
        if (Find(key, fallback ? "true" : "false", meaning) is not { } text)
            return fallback;
        if (bool.TryParse(text, out var value))
            return value;
        Fail(key, $"'{text}' is neither true nor false");
        return fallback;
    }

    public long Number(string key, long fallback, long min, long max, string meaning)
    {
        if (Find(key, fallback.ToString(CultureInfo.InvariantCulture), $"{meaning} ({min} to {max})") is not { } text)
            return fallback;
        if (long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var value) && value >= min && value <= max)
            return value;
        Fail(key, $"'{text}' is not a whole number from {min} to {max}");
        return fallback;
    }

    public T Choice<T>(string key, T fallback, string meaning)
        where T : struct, Enum
    {
        var names = string.Join(", ", Enum.GetNames<T>().Select(n => n.ToLowerInvariant()));
        if (Find(key, fallback.ToString().ToLowerInvariant(), $"{meaning}: {names}") is not { } text)
            return fallback;
        if (!int.TryParse(text, out _) && Enum.TryParse<T>(text, ignoreCase: true, out var value))
            return value;
        Fail(key, $"'{text}' is none of {names}");
        return fallback;
    }

    public IReadOnlyList<string> List(string key, string meaning)
    {
        var children = configuration.GetSection(key).GetChildren().ToList();
        foreach (var child in children)
            _known.Add(child.Path);
        var single = Find(key, "", meaning + " (comma-separated, or a JSON array)");
        return children.Count > 0
            ? [.. children.Select(c => c.Value).OfType<string>()]
            : single?.Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries) ?? [];
    }

    /// <summary>An endpoint as host:port; null when it is <c>off</c>. The host is an address, <c>localhost</c> or <c>*</c>.</summary>
    public IPEndPoint? Endpoint(string key, string fallback, string meaning)
    {
        var text = Find(key, fallback, meaning + " (host:port, port 0 picks one, off disables)") ?? fallback;
        if (text.Equals("off", StringComparison.OrdinalIgnoreCase))
            return null;
        if (TryParseEndpoint(text, out var endpoint))
            return endpoint;
        Fail(key, $"'{text}' is not host:port with an IP address, localhost or * as host, nor off");
        return null;
    }

    public void Fail(string key, string what) => _errors.Add($"{key}: {what}");

    public void FailAll(IEnumerable<string> errors) => _errors.AddRange(errors);

    /// <summary>All mistakes, unknown keys included. Empty: the settings can be used.</summary>
    public IReadOnlyList<string> Finish()
    {
        foreach (var (key, value) in configuration.AsEnumerable())
        {
            if (value is not null && !_known.Contains(key) && !key.StartsWith("Logging:", StringComparison.OrdinalIgnoreCase))
                _errors.Add($"{key}: no such setting{Suggest(key)}");
        }

        return _errors;
    }

    public static bool TryParseEndpoint(string text, out IPEndPoint endpoint)
    {
        endpoint = new IPEndPoint(IPAddress.Loopback, 0);
        var colon = text.LastIndexOf(':');
        if (colon < 0 || !ushort.TryParse(text.AsSpan(colon + 1), NumberStyles.None, CultureInfo.InvariantCulture, out var port))
            return false;
        var host = text[..colon].Trim('[', ']');
        IPAddress? address = host switch
        {
            "localhost" => IPAddress.Loopback,
            "*" or "" => IPAddress.Any,
            _ => IPAddress.TryParse(host, out var parsed) ? parsed : null,
        };
        if (address is null)
            return false;
        endpoint = new IPEndPoint(address, port);
        return true;
    }

    private string? Find(string key, string fallback, string meaning)
    {
        if (_known.Add(key))
            _docs.Add(new OptionDoc(key, fallback, meaning));
        return configuration[key];
    }

    private string Suggest(string key)
    {
        var near = _known.MinBy(k => Distance(k, key));
        return near is not null && Distance(near, key) <= Math.Max(2, key.Length / 4) ? $"; did you mean {near}?" : "; see docs/configuration.md";
    }

    private static int Distance(string a, string b)
    {
        var row = Enumerable.Range(0, b.Length + 1).ToArray();
        for (var i = 1; i <= a.Length; i++)
        {
            var diagonal = row[0];
            row[0] = i;
            for (var j = 1; j <= b.Length; j++)
            {
                var same = char.ToLowerInvariant(a[i - 1]) == char.ToLowerInvariant(b[j - 1]);
                (diagonal, row[j]) = (row[j], Math.Min(Math.Min(row[j], row[j - 1]) + 1, diagonal + (same ? 0 : 1)));
            }
        }

        return row[^1];
    }
}
