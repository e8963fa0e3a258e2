using System.Text.Json.Serialization;

namespace Millrace.History.Rollups.Groups;

/// <summary>A file of minutes: when its first and last begin (µs), and the day it was merged for; null for what a checkpoint added.</summary>
internal sealed record StoredCells(string Name, long From, long To, long? Day);

/// <summary>What state.json says: the commit of position, cells and presence at once.</summary>
internal sealed record GroupState(
    int Version, string Position, int Devices, long Next, List<StoredCells> Cells, Dictionary<long, string> Presence, List<GroupSeries> Series)
{
    /// <summary>The files it names.</summary>
    [JsonIgnore]
    public IEnumerable<string> Files => Cells.Select(file => file.Name).Concat(Presence.Values);
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase)]
[JsonSerializable(typeof(GroupState))]
internal sealed partial class GroupJson : JsonSerializerContext;
