using System.Security.Cryptography;
using System.Text;
using System.Text.Json.Nodes;
using Millrace.Jobs.Definitions;
using Millrace.Outputs;
using Millrace.Outputs.Email;
using Millrace.Outputs.Files;
using Millrace.Outputs.GoogleSheets;
using Millrace.Outputs.Sql;
using Millrace.Outputs.Webhook;
using Millrace.Registry.Alerts;

namespace Millrace.Jobs.Running;

/// <summary>An <c>alert</c> or <c>alert-clear</c> output as the job uses it.</summary>
internal sealed record AlertTarget(
    AlertRule Rule, IReadOnlyList<string> Key, string Message, bool Clears, IReadOnlyList<AlertTo> Channels);

/// <summary>Somebody who is told of alerts. The name follows from whom, so that messages find their way wherever the entry stands.</summary>
/// <param name="Index">Place in the list, by which earlier releases named the channel.</param>
internal sealed record AlertTo(string Channel, JsonObject Spec, int Index)
{
    /// <param name="spec">As an output's, with its kind.</param>
    public static AlertTo Of(string job, string output, JsonObject spec, int index)
    {
        var whom = $"{spec["to"]} {spec["url"]} {spec["spreadsheet"]} {spec["range"]}";
        var hash = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(whom)))[..8];
        return new AlertTo($"{job}/{output}.{spec["kind"]}-{hash}", spec, index);
    }

    public string Folder => "notify-" + Channel[(Channel.LastIndexOf('.') + 1)..];

    public string EarlierChannel => Channel[..(Channel.LastIndexOf('.') + 1)] + Index;

    public string EarlierFolder => "notify-" + Index;
}

/// <summary>An outbox of a job: where it lies below <c>outputs</c>, and for whom.</summary>
/// <param name="Channel">The alert channel, or null for an output's rows.</param>
internal sealed record OutputPlace(string Folder, string Output, string Kind, JsonObject Spec, string? Channel);

/// <summary>Makes outputs from their specifications: one line per kind.</summary>
internal sealed class OutputFactory(JobServices services)
{
    private const int ParquetRollSeconds = 3600;

    private static readonly string[] Severities = ["info", "warning", "critical"];

    /// <summary>Everything wrong in the outputs of a definition.</summary>
    public IReadOnlyList<JobError> Check(JobDefinition definition)
    {
        List<JobError> errors = [];
        foreach (var output in definition.Outputs)
        {
            try
            {
                if (output.Kind is "alert" or "alert-clear")
                    Alert(definition.Name, output);
                else if (output.Kind != "live")
                    Create(new OutputSource(definition.Name, output.Name), output.Kind, output.Spec, $"outputs.{output.Name}");
            }
            catch (JobDefinitionException e)
            {
                errors.AddRange(e.Errors);
            }
            catch (OutputException e)
            {
                errors.Add(new JobError(1, 1, $"outputs.{output.Name}: {e.Message}"));
            }
        }

        return errors;
    }

    /// <exception cref="JobDefinitionException">The specification is wrong.</exception>
    /// <exception cref="OutputException">It names something that may not be used.</exception>
    public IOutput Create(OutputSource source, string kind, JsonObject json, string path)
    {
        var spec = new SpecReader(json, path);
        Func<IOutput> make = kind switch
        {
            "files" => Files(source, spec),
            "sql" => Sql(source, spec, json),
            "webhook" => Webhook(source, spec),
            "email" => Email(source, spec),
            "sheets" => Sheets(source, spec),
            _ => throw new JobDefinitionException([new JobError(1, 1, $"{path}.kind: '{kind}' cannot be used here")]),
        };
        return spec.Errors.Count == 0 ? make() : throw new JobDefinitionException(spec.Errors);
    }

    /// <summary>Every outbox of a definition that can be used.</summary>
    public IEnumerable<OutputPlace> Places(JobDefinition definition)
    {
        foreach (var output in definition.Outputs.Where(o => o.Kind != "live"))
        {
            var folder = JobOutputs.FolderName(output.Name);
            if (output.Kind is not ("alert" or "alert-clear"))
            {
                yield return new OutputPlace(folder, output.Name, output.Kind, output.Spec, null);
                continue;
            }

            foreach (var to in Alert(definition.Name, output).Channels)
                yield return new OutputPlace(Path.Combine(folder, to.Folder), output.Name, output.Kind, to.Spec, to.Channel);
        }
    }

    public AlertTarget Alert(string job, JobOutput output)
    {
        var path = $"outputs.{output.Name}";
        var spec = new SpecReader(output.Spec, path);
        var rule = spec.Required("rule");
        var severity = spec.Text("severity") ?? "warning";
        if (!Severities.Contains(severity))
            spec.Wrong("severity", $"one of {string.Join(", ", Severities)} is expected");
        List<AlertTo> channels = [];
        if (output.Spec["notify"] is JsonArray notify)
        {
            for (var i = 0; i < notify.Count; i++)
                AddChannel(job, output.Name, i, notify[i], channels, spec);
        }
        else if (output.Spec["notify"] is { } single)
        {
            AddChannel(job, output.Name, 0, single, channels, spec);
        }

        var target = new AlertTarget(
            new AlertRule(
                rule, severity, spec.Span("clearAfter"), spec.Span("repeatEvery"), spec.Span("notifyMaxAge") ?? AlertRule.DefaultNotifyMaxAge,
                spec.Bit("raiseOnGap")),
            spec.Texts("key"), spec.Text("message") ?? "", output.Kind == "alert-clear", channels);
        return spec.Errors.Count == 0 ? target : throw new JobDefinitionException(spec.Errors);
    }

    /// <summary>A mail address, a web address, or an object like an output's.</summary>
    private void AddChannel(string job, string output, int index, JsonNode? notify, List<AlertTo> channels, SpecReader spec)
    {
        var json = notify switch
        {
            JsonObject given => (JsonObject)given.DeepClone(),
            JsonValue value when value.TryGetValue<string>(out var text) => text.StartsWith("http://", StringComparison.Ordinal) || text.StartsWith("https://", StringComparison.Ordinal)
                ? new JsonObject { ["kind"] = "webhook", ["url"] = text }
                : new JsonObject { ["kind"] = "email", ["to"] = text },
            _ => [],
        };
        if (json["kind"] is JsonValue kind && kind.TryGetValue<string>(out var name) && name is "email" or "webhook" or "sheets")
        {
            if (json["kind"]!.GetValue<string>() == "email" && json["subject"] is null)
                json["subject"] = "{severity}: {message}";
            Create(new OutputSource(job, $"{output}.{index}"), json["kind"]!.GetValue<string>(), json, $"outputs.{output}.notify[{index}]");
            var to = AlertTo.Of(job, output, json, index);
            // Who stands there twice is told once.
            if (channels.All(c => c.Channel != to.Channel))
                channels.Add(to);
        }
        else
        {
            spec.Wrong($"notify[{index}]", "a mail address, a web address, or an object of kind email, webhook or sheets is expected");
        }
    }

    private Func<IOutput> Files(OutputSource source, SpecReader spec)
    {
        var path = spec.Required("path");
        var format = spec.Text("format") switch
        {
            null or "jsonl" => FileFormat.JsonLines,
            "csv" => FileFormat.Csv,
            "parquet" => FileFormat.Parquet,
            _ => (FileFormat?)null,
        };
        if (format is null)
            spec.Wrong("format", "one of jsonl, csv, parquet is expected");
        var rollBytes = (long)spec.Number("rollBytes", 0, 0, 1L << 40);
        // A Parquet file is complete or none at all: it rolls by itself.
        var rollSeconds = format == FileFormat.Parquet && rollBytes == 0 ? ParquetRollSeconds : 0;
        var options = new FilesOutputOptions
        {
            Path = path.Length > 0 ? services.Folders.Resolve(path) : "/",
            Format = format ?? FileFormat.JsonLines,
            RollAfter = TimeSpan.FromSeconds(spec.Number("rollSeconds", rollSeconds, 0, 86_400 * 31)),
            RollBytes = rollBytes,
        };
        if (format == FileFormat.Parquet && !options.Rolls)
            spec.Wrong("rollSeconds", "a Parquet file has to roll: more than 0 is expected");
        return () => new FilesOutput(source, options, services.Time);
    }

    private Func<IOutput> Sql(OutputSource source, SpecReader spec, JsonObject json)
    {
        var provider = spec.Required("provider");
        var dialect = Dialect(provider);
        if (dialect is null && provider.Length > 0)
            spec.Wrong("provider", $"'{provider}' is not known here");
        List<SqlColumn> schema = [];
        if (json["schema"] is JsonObject columns)
        {
            foreach (var (name, kind) in columns)
            {
                if (kind is JsonValue value && value.TryGetValue<string>(out var text) && Enum.TryParse<ColumnKind>(text, true, out var parsed) && parsed != ColumnKind.Other)
                    schema.Add(new SqlColumn(name, parsed));
                else
                    spec.Wrong("schema." + name, "one of boolean, bigint, double, text, timestamp, json is expected");
            }
        }

        var options = new SqlOutputOptions { Connection = spec.Required("connection"), Table = spec.Required("table"), Key = spec.Texts("key"), Schema = schema };
        if (provider == "sqlite" && options.Connection.Length > 0 && !options.Connection.Contains('='))
            services.Folders.Resolve(options.Connection);
        return () => new SqlOutput(source, options, dialect!);
    }

    public ISqlDialect? Dialect(string? provider) => provider switch
    {
        "sqlite" => new SqliteDialect(services.Folders),
        "postgres" => new PostgresDialect(),
        _ => services.Dialects.FirstOrDefault(d => d.Provider == provider),
    };

    private Func<IOutput> Webhook(OutputSource source, SpecReader spec)
    {
        var url = spec.Address("url");
        if (url is null && spec.Errors.Count == 0)
            spec.Required("url");
        var options = new WebhookOptions
        {
            Url = url ?? new Uri("http://unknown"),
            Secret = spec.Text("secret"),
            BatchRows = (int)spec.Number("batchRows", 500, 1, 10_000),
            Linger = TimeSpan.FromMilliseconds(spec.Number("batchMs", 200, 0, 3_600_000)),
        };
        return () => new WebhookOutput(source, options, services.Http, services.Circuits, services.Time);
    }

    private Func<IOutput> Email(OutputSource source, SpecReader spec)
    {
        var options = new EmailOptions
        {
            To = spec.Required("to"),
            Subject = spec.Text("subject") ?? "",
            Digest = TimeSpan.FromSeconds(spec.Number("digestSeconds", 0, 0, 86_400 * 7)),
        };
        if (options.To.Length > 0)
            MailAddresses.ParseList(options.To);
        return () => new EmailOutput(source, options, services.Smtp, services.Time);
    }

    private Func<IOutput> Sheets(OutputSource source, SpecReader spec)
    {
        var credentials = spec.Required("credentials");
        var standIn = spec.Address("baseUri");
        var options = new SheetsOptions
        {
            Spreadsheet = spec.Required("spreadsheet"),
            Range = spec.Text("range") ?? "Sheet1!A1",
            Credentials = credentials.Length > 0 ? services.Folders.Resolve(credentials) : "",
            TokenUri = spec.Address("tokenUri"),
            Folder = spec.Text("folder"),
            BaseUri = standIn ?? SheetsOptions.SheetsService,
            DriveUri = standIn ?? SheetsOptions.DriveService,
        };
        return () => new SheetsOutput(source, options, services.Http, services.Quota, services.Time);
    }
}
