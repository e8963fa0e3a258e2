using System.Text.Json;
using System.Text.Json.Serialization;

namespace Millrace.Commands.Backup;

/// <summary>What a backup holds: <c>backup.json</c> in its folder, written last (docs/formats/backup.md).</summary>
/// <param name="Format">Version of this file.</param>
/// <param name="DataVersion">Version of the data folder it was made of.</param>
/// <param name="Position">Per partition the sequence behind the last reading held.</param>
/// <param name="Readings">Readings in the log.</param>
internal sealed record BackupManifest(int Format, DateTime MadeAt, int DataVersion, string Position, long Readings, IReadOnlyList<BackupFile> Files)
{
    public const int FormatVersion = 1;
    public const string FileName = "backup.json";

    /// <exception cref="CommandException">There is none, or it is not readable by this release.</exception>
    public static BackupManifest Read(string folder)
    {
        var path = Path.Combine(folder, FileName);
        if (!File.Exists(path))
            throw new CommandException($"{folder} is no finished backup: it has no {FileName}; name a folder that millrace backup completed");
        BackupManifest? manifest;
        try
        {
            manifest = JsonSerializer.Deserialize(File.ReadAllBytes(path), BackupJson.Default.BackupManifest);
        }
        catch (JsonException fault)
        {
            throw new CommandException($"the backup is damaged: {path} is not readable ({fault.Message}); use another backup", fault);
        }

        if (manifest is not { Format: FormatVersion })
            throw new CommandException($"{path} has format {manifest?.Format}, this release knows {FormatVersion}; restore with the release that made it, or a newer one");
        return manifest;
    }
}

/// <param name="Name">Below the data folder, with slashes.</param>
/// <param name="Sha256">In hexadecimal digits.</param>
internal sealed record BackupFile(string Name, long Bytes, string Sha256);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, WriteIndented = true)]
[JsonSerializable(typeof(BackupManifest))]
internal sealed partial class BackupJson : JsonSerializerContext;
