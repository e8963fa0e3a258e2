using System.Text.RegularExpressions;
using Millrace.Core;

namespace Millrace.Settings;

/// <summary>
/// Reads the <c>server.config</c> INI of the older NB-IoT collection server as it stands: [db], [server], [concurrent],
/// [sql]. Its SQL templates are read for table and column names only and are never executed.
/// </summary>
internal static partial class NbIotServerConfig
{
    /// <summary>Marks the UDP endpoint as consented to by the file's own ipaddress.</summary>
    public const string UdpConsentKey = "Listeners:Udp:EndpointFromServerConfig";

    /// <summary>Whether the file is that INI rather than JSON: its first meaningful line opens one of the four sections.</summary>
    public static bool Recognises(string path)
    {
        foreach (var line in File.ReadLines(path))
        {
            var text = line.Trim().TrimStart('\uFEFF');
            if (text.Length == 0 || text[0] is '#' or ';')
                continue;
            return text[0] == '[' && text.EndsWith(']');
        }

        return false;
    }

    /// <exception cref="StartException">A line or value cannot be understood; the message names file and line.</exception>
    public static IEnumerable<KeyValuePair<string, string?>> Read(string path)
    {
        var ini = Parse(path);
        string Get(string section, string key, string fallback = "") =>
            ini.TryGetValue($"{section}.{key}", out var value) ? value : fallback;

        var address = Get("server", "ipaddress");
        var port = Number(path, ini, "server.udpport", 9999, 0, 65535);
        var workers = Number(path, ini, "concurrent.process_thread_number", 10, 1, 256);
        Number(path, ini, "server.buffersize", 50, 1, int.MaxValue);
        yield return new("Listeners:Udp:Endpoint", $"{(address.Length == 0 ? "0.0.0.0" : address)}:{port}");
        yield return new(UdpConsentKey, "true");
        if (!ini.ContainsKey("db.host"))
            yield break;

        var names = Names(path, Get("sql", "update"), Get("sql", "insert"));
        yield return new("SqlView:Provider", "mysql");
        yield return new("SqlView:Connection", MySqlConnection(path, ini));
        yield return new("SqlView:Writers", workers.ToString());
        yield return new("SqlView:Table", names.Table);
        yield return new("SqlView:IdColumn", names.Id);
        yield return new("SqlView:DataColumn", names.Data);
    }

    private static string MySqlConnection(string path, Dictionary<string, string> ini)
    {
        var charset = ini.GetValueOrDefault("db.char", "utf8mb4");
        var pairs = new System.Data.Common.DbConnectionStringBuilder
        {
            ["Server"] = ini["db.host"],
            ["Port"] = Number(path, ini, "db.port", 3306, 1, 65535),
            ["User ID"] = ini.GetValueOrDefault("db.user", ""),
            ["Password"] = ini.GetValueOrDefault("db.pass", ""),
            ["Database"] = ini.GetValueOrDefault("db.name", ""),
            // The old name utf8 means three bytes a character there; readings may hold any character.
            ["CharSet"] = charset.StartsWith("utf8", StringComparison.OrdinalIgnoreCase) ? "utf8mb4" : charset,
        };
        return pairs.ConnectionString;
    }

    private static (string Table, string Id, string Data) Names(string path, string update, string insert)
    {
        if (UpdateTemplate().Match(update) is { Success: true } u)
            return (u.Groups["table"].Value, u.Groups["id"].Value, u.Groups["data"].Value);
        if (InsertTemplate().Match(insert) is { Success: true } i)
            return (i.Groups["table"].Value, i.Groups["id"].Value, i.Groups["data"].Value);
        if (update.Length + insert.Length == 0)
            return ("IOTHardwareInUse", "HardwareID", "Data");
        throw new StartException(
            $"{path}: [sql] update and insert name no table with two columns; expected e.g. UPDATE IOTHardwareInUse SET Data=… WHERE HardwareID=…");
    }

    private static Dictionary<string, string> Parse(string path)
    {
        var values = new Dictionary<string, string>(StringComparer.OrdinalIgnoreCase);
        var section = "";
        var number = 0;
        foreach (var raw in File.ReadLines(path))
        {
            number++;
            var line = raw.Trim().TrimStart('\uFEFF');
            if (line.Length == 0 || line[0] is '#' or ';')
                continue;
            if (line[0] == '[' && line[^1] == ']')
            {
                section = line[1..^1].Trim();
                continue;
            }

            var split = line.IndexOfAny(['=', ':']);
            if (split <= 0 || section.Length == 0)
                throw new StartException($"{path}:{number}: expected key = value below a [section]");
            values[$"{section}.{line[..split].Trim()}"] = line[(split + 1)..].Trim();
        }

        return values;
    }

    private static long Number(string path, Dictionary<string, string> ini, string key, long fallback, long min, long max)
    {
        if (!ini.TryGetValue(key, out var text) || text.Length == 0)
            return fallback;
        if (long.TryParse(text, out var value) && value >= min && value <= max)
            return value;
        throw new StartException($"{path}: {key} = {text} is not a whole number from {min} to {max}");
    }

    [GeneratedRegex(
        @"^\s*UPDATE\s+[`""\[]?(?<table>\w+)[`""\]]?\s+SET\s+[`""\[]?(?<data>\w+)[`""\]]?\s*=.*\bWHERE\s+[`""\[]?(?<id>\w+)[`""\]]?\s*=",
        RegexOptions.IgnoreCase | RegexOptions.Singleline)]
    private static partial Regex UpdateTemplate();

    [GeneratedRegex(
        @"^\s*INSERT\s+INTO\s+[`""\[]?(?<table>\w+)[`""\]]?\s*\(\s*[`""\[]?(?<id>\w+)[`""\]]?\s*,\s*[`""\[]?(?<data>\w+)[`""\]]?\s*\)",
        RegexOptions.IgnoreCase | RegexOptions.Singleline)]
    private static partial Regex InsertTemplate();
}
