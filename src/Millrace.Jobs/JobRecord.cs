using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization;
using Millrace.Outputs;

namespace Millrace.Jobs;

/// <summary>What is kept of a job in <c>job.json</c>, besides its snapshots.</summary>
/// <param name="Version">Grows with every edit, also over deletion: rows of a later job of the same name are other rows.</param>
/// <param name="EmitFrom">Arrival of the first reading whose rows count, µs; null: not started yet.</param>
/// <param name="Begun">This version has written a snapshot.</param>
/// <param name="Definition">As the user gave it; null when the job was deleted and only its version is kept.</param>
internal sealed record JobRecord(
    string Name, ushort Tenant, int Version, bool Running, long? EmitFrom, bool Begun, long ChangedAt, string? Problem, JsonObject? Definition)
{
    /// <summary>Of this format; a later one is refused, and of an earlier one what it lacks is taken as said here.</summary>
    public const int FormatNow = 1;

    private const string FileName = "job.json";

    private static readonly JsonSerializerOptions Options = new() { WriteIndented = true };

    public int Format { get; init; } = FormatNow;

    /// <summary>Which life of the numbering made the rows, by version; what releases before wrote has none until it is loaded here.</summary>
    public IReadOnlyList<Incarnation> Incarnations { get; init; } = [];

    /// <summary>Set by a restore: readings up to this arrival are still the old version's, after it a new one goes on; µs.</summary>
    public long? ForkAt { get; init; }

    /// <summary>The version whose state this one goes on with until it has saved its own.</summary>
    public int? Continues { get; init; }

    [JsonIgnore]
    public Lineage Lineage => new(Incarnations, Version);

    public static JobRecord Load(string folder)
    {
        var path = Path.Combine(folder, FileName);
        var record = JsonSerializer.Deserialize<JobRecord>(File.ReadAllBytes(path)) ?? throw new JsonException($"{path} is empty");
        return record.Format <= FormatNow ? record : throw new JsonException($"{path} was written by a newer release; run that release");
    }

    /// <summary>Whether a path is that of a job's record.</summary>
    public static bool IsFile(string path) => Path.GetFileName(path) == FileName;

    public static bool Exists(string folder) => File.Exists(Path.Combine(folder, FileName));

    /// <summary>
    /// As it goes on in a folder restored from a backup: the numbers that the version gives out from here on were given out before, to
    /// rows of readings that are not in the backup.
    /// </summary>
    public JobRecord Restored(long lastArrival) => this with
    {
        ForkAt = lastArrival,
        Incarnations = [.. Incarnations, Incarnation.New(Version + 1)],
    };

    /// <summary>The next version, going on with this one's state.</summary>
    public JobRecord Forked() => this with
    {
        Version = Version + 1,
        Continues = Version,
        EmitFrom = EmitFrom is { } from && ForkAt is { } end ? Math.Max(from, end + 1) : EmitFrom,
        ForkAt = null,
        Begun = false,
    };

    public void Save(string folder)
    {
        Directory.CreateDirectory(folder);
        AtomicFile.Write(Path.Combine(folder, FileName), JsonSerializer.SerializeToUtf8Bytes(this, Options));
    }
}
