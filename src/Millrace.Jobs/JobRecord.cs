using System.Text.Json;
using System.Text.Json.Nodes;
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
    private const string FileName = "job.json";

    private static readonly JsonSerializerOptions Options = new() { WriteIndented = true };

    public static JobRecord Load(string folder) =>
        JsonSerializer.Deserialize<JobRecord>(File.ReadAllBytes(Path.Combine(folder, FileName)))
        ?? throw new JsonException($"{folder}/{FileName} is empty");

    public static bool Exists(string folder) => File.Exists(Path.Combine(folder, FileName));

    public void Save(string folder)
    {
        Directory.CreateDirectory(folder);
        AtomicFile.Write(Path.Combine(folder, FileName), JsonSerializer.SerializeToUtf8Bytes(this, Options));
    }
}
