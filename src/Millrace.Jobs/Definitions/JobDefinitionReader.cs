using System.Globalization;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Millrace.Core;
using Millrace.Jobs.Scheduling;
using Millrace.StreamSql;

namespace Millrace.Jobs.Definitions;

/// <summary>Reads the JSON of a job strictly: unknown members are mistakes, and all mistakes are told at once.</summary>
public static partial class JobDefinitionReader
{
    private const string NameRule = "a name is 1 to 64 letters, digits, '.', '_' or '-', beginning with a letter or digit";

    private static readonly Dictionary<string, string[]> OutputMembers = new(StringComparer.Ordinal)
    {
        ["files"] = ["path", "format", "rollSeconds", "rollBytes"],
        ["sql"] = ["provider", "connection", "table", "key", "schema"],
        ["webhook"] = ["url", "secret", "batchRows", "batchMs"],
        ["email"] = ["to", "subject", "digestSeconds"],
        ["sheets"] = ["spreadsheet", "range", "folder", "credentials", "baseUri", "tokenUri"],
        ["live"] = [],
        ["alert"] = ["rule", "key", "severity", "message", "clearAfter", "repeatEvery", "notify", "notifyMaxAge", "raiseOnGap"],
        ["alert-clear"] = ["rule", "key"],
    };

    /// <exception cref="JobDefinitionException">What is wrong, every mistake.</exception>
    public static JobDefinition Read(string name, JsonObject source, FunctionRegistry? functions = null)
    {
        var reader = new Reading(source);
        var definition = reader.Definition(name);
        if (reader.Errors.Count == 0)
            reader.CheckQuery(definition, functions);
        return reader.Errors.Count == 0 ? definition : throw new JobDefinitionException(reader.Errors);
    }

    public static bool IsName(string name) => NamePattern().IsMatch(name);

    [GeneratedRegex("^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    private static partial Regex NamePattern();

    private sealed class Reading(JsonObject source)
    {
        public List<JobError> Errors { get; } = [];

        public JobDefinition Definition(string name)
        {
            Known(source, "", "name", "query", "inputs", "outputs", "startFrom", "settings", "start", "schedule", "tz", "period");
            if (!IsName(name))
                Wrong($"'{name}' is not a job's name: {NameRule}");
            if (Text(source, "", "name") is { } said && !said.Equals(name, StringComparison.OrdinalIgnoreCase))
                Wrong($"name: the body says '{said}' and the address '{name}'");
            var query = Text(source, "", "query") ?? "";
            if (query.Length == 0)
                Wrong("query: the script is missing");
            var settings = Object(source, "", "settings") ?? [];
            Known(settings, "settings.", "late_arrival_seconds", "out_of_order_seconds", "policy", "memory_limit_mb");
            var (start, startTime) = StartFrom();
            var policy = Text(settings, "settings.", "policy");
            if (policy is not (null or "adjust" or "drop"))
                Wrong($"settings.policy: '{policy}' is neither adjust nor drop");
            return new JobDefinition(
                name, query, Inputs(), Outputs(), start, startTime, Seconds(settings, "settings.", "late_arrival_seconds") ?? TimeSpan.FromSeconds(5),
                Seconds(settings, "settings.", "out_of_order_seconds") ?? TimeSpan.Zero, policy == "drop" ? OrderPolicy.Drop : OrderPolicy.Adjust,
                (int)(Number(settings, "settings.", "memory_limit_mb", 1, 1 << 20) ?? JobDefinition.MemoryLimitMbDefault), source)
            {
                Schedule = Schedule(),
            };
        }

        public void CheckQuery(JobDefinition definition, FunctionRegistry? functions)
        {
            var compiled = definition.Compile(functions);
            foreach (var error in compiled.Errors)
                Errors.Add(new JobError(error.Line, error.Column, error.Message));
            if (compiled.Query is not { } query)
                return;
            foreach (var output in definition.Outputs.Where(o => !query.Outputs.Contains(o.Name, StringComparer.OrdinalIgnoreCase)))
                Wrong($"outputs.{output.Name}: the query writes no output of that name; it writes {string.Join(", ", query.Outputs)}");
        }

        private JobSchedule? Schedule()
        {
            var (text, zone) = (Text(source, "", "schedule"), Text(source, "", "tz"));
            var spec = new SpecReader(source, "job");
            var period = spec.Span("period");
            Errors.AddRange(spec.Errors);
            if (text is null)
            {
                if (zone is not null || source["period"] is not null)
                    Wrong("tz and period belong to a \"schedule\"");
                return null;
            }

            if (period < TimeSpan.FromSeconds(1))
                Wrong("period: at least one second is expected");
            if (!TimeZoneInfo.TryFindSystemTimeZoneById(zone ?? "UTC", out var found))
                Wrong($"tz: '{zone}' is not a time zone this machine knows; names are like Europe/Berlin");
            else if (!CronSchedule.TryParse(text, found, out var cron, out var error))
                Wrong("schedule: " + error);
            else
                return new JobSchedule(cron, period);
            return null;
        }

        private (StartKind, long) StartFrom()
        {
            var text = Text(source, "", "startFrom");
            switch (text)
            {
                case null or "now":
                    return (StartKind.Now, 0);
                case "beginning":
                    return (StartKind.Beginning, 0);
            }

            if (DateTimeOffset.TryParse(text, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out var time))
                return (StartKind.Time, Micros.FromDateTime(time.UtcDateTime));
            Wrong($"startFrom: '{text}' is neither now, beginning nor an ISO 8601 time");
            return (StartKind.Now, 0);
        }

        private List<JobInput>? Inputs()
        {
            if (Object(source, "", "inputs") is not { } inputs)
                return null;
            List<JobInput> all = [];
            foreach (var (name, value) in inputs)
            {
                var path = $"inputs.{name}.";
                if (value is not JsonObject input)
                {
                    Wrong($"inputs.{name}: an object with \"source\" is expected");
                    continue;
                }

                Known(input, path, "source", "file", "table", "provider", "connection", "refreshSeconds");
                switch (Text(input, path, "source"))
                {
                    case "telemetry":
                        all.Add(new JobInput(name, null));
                        break;
                    case "reference":
                        all.Add(new JobInput(name, Reference(input, path)));
                        break;
                    default:
                        Wrong($"{path}source: telemetry or reference is expected");
                        break;
                }
            }

            return all;
        }

        private ReferenceSource Reference(JsonObject input, string path)
        {
            var (file, table) = (Text(input, path, "file"), Text(input, path, "table"));
            if ((file is null) == (table is null))
                Wrong($"{path}: either \"file\" or \"table\" is needed");
            if (table is not null && (Text(input, path, "provider") is null || Text(input, path, "connection") is null))
                Wrong($"{path}: a table needs \"provider\" and \"connection\"");
            return new ReferenceSource(
                file, Text(input, path, "provider"), Text(input, path, "connection"), table,
                Seconds(input, path, "refreshSeconds") ?? TimeSpan.FromSeconds(file is null ? 60 : 10));
        }

        private List<JobOutput> Outputs()
        {
            List<JobOutput> all = [];
            foreach (var (name, value) in Object(source, "", "outputs") ?? [])
            {
                if (value is not JsonObject spec)
                {
                    Wrong($"outputs.{name}: an object with \"kind\" is expected");
                    continue;
                }

                var kind = Text(spec, $"outputs.{name}.", "kind") ?? "";
                if (!OutputMembers.TryGetValue(kind, out var members))
                {
                    Wrong($"outputs.{name}.kind: '{kind}' is none of {string.Join(", ", OutputMembers.Keys)}");
                    continue;
                }

                Known(spec, $"outputs.{name}.", [.. members, "kind"]);
                all.Add(new JobOutput(name, kind, spec));
            }

            foreach (var twice in all.GroupBy(o => o.Name, StringComparer.OrdinalIgnoreCase).Where(g => g.Count() > 1))
                Wrong($"outputs: '{twice.Key}' is there twice; names are matched without regard to case");
            return all;
        }

        private void Known(JsonObject from, string path, params string[] members)
        {
            foreach (var (name, _) in from)
            {
                if (!members.Contains(name, StringComparer.Ordinal))
                    Wrong($"{path}{name}: unknown; known are {string.Join(", ", members)}");
            }
        }

        private JsonObject? Object(JsonObject from, string path, string name)
        {
            if (from[name] is not { } value)
                return null;
            if (value is JsonObject found)
                return found;
            Wrong($"{path}{name}: an object is expected");
            return null;
        }

        private string? Text(JsonObject from, string path, string name)
        {
            if (from[name] is not { } value)
                return null;
            if (value is JsonValue text && text.TryGetValue<string>(out var found))
                return found;
            Wrong($"{path}{name}: a string is expected");
            return null;
        }

        private double? Number(JsonObject from, string path, string name, double least, double most)
        {
            if (from[name] is not { } value)
                return null;
            if (value is JsonValue number && number.TryGetValue<double>(out var found) && found >= least && found <= most)
                return found;
            Wrong($"{path}{name}: a number from {least} to {most} is expected");
            return null;
        }

        private TimeSpan? Seconds(JsonObject from, string path, string name) =>
            Number(from, path, name, 0, 7 * 86_400) is { } seconds ? TimeSpan.FromSeconds(seconds) : null;

        private void Wrong(string message) => Errors.Add(new JobError(1, 1, message));
    }
}
