using System.Text;
using System.Text.Json.Serialization;
using Millrace.Core;

namespace Millrace.History.Archive;

/// <summary>One file of the history as its day's manifest has it. Times in µs; the range numbers readings of the whole log.</summary>
/// <param name="Name">Below the day's folder: <c>hour=HH/r…</c>.</param>
public sealed record ArchivedFile(
    string Name, long Rows, long Bytes, long From, long To, int Generation, long TimeMin, long TimeMax, long ReceivedMin, long ReceivedMax)
{
    /// <summary>The folder of the hour, <c>hour=HH</c>.</summary>
    [JsonIgnore]
    public string Hour => Name[..Math.Max(0, Name.IndexOf('/', StringComparison.Ordinal))];

    internal static string NameOf(string hour, int generation, long from, long to) => $"{hour}/r{generation}-{from:D12}-{to:D12}.parquet";
}

internal sealed record DayManifest(int Version, List<ArchivedFile> Files);

/// <summary>A file that takes the place of others, or of none; without one, files that only go.</summary>
internal sealed record PendingChange(string Folder, ArchivedFile? Add, List<string> Remove);

/// <param name="Before">The position before this commit, for readers that come between the commit and the manifests.</param>
/// <param name="Erased">Devices whose readings below a position are not taken in any more.</param>
internal sealed record ArchiveState(
    int Version, string Position, Dictionary<string, List<string[]>> Columns, List<PendingChange> Pending, string? Before = null,
    List<ErasedDevice>? Erased = null);

/// <param name="Until">Per partition the first sequence that is kept again.</param>
internal sealed record ErasedDevice(ushort Tenant, string Device, string Until)
{
    private readonly PositionVector _until = PositionVector.Parse(Until);
    private readonly byte[] _id = Encoding.UTF8.GetBytes(Device);

    public bool Covers(in ReadingRecord record, int partition) =>
        record.Tenant == Tenant && record.Sequence < _until[partition] && record.Id.SequenceEqual(_id);

    /// <summary>Whether all that it keeps out has been passed by.</summary>
    public bool IsBehind(PositionVector position) => position.LagBehind(_until) == 0;
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase)]
[JsonSerializable(typeof(ArchiveState))]
[JsonSerializable(typeof(DayManifest))]
internal sealed partial class ArchiveJson : JsonSerializerContext;
