namespace Millrace.Core;

/// <summary>Which members of the payloads a reader of the past uses; the others need not be read.</summary>
/// <param name="Paths">
/// Names from the outermost object inwards; upper and lower case are the same. A path of no names is the payload as a whole.
/// </param>
/// <param name="InPieces">
/// Readings may be given member by member (<see cref="PastReading.Pieces"/>) in place of JSON, where that gives the same values.
/// </param>
public sealed record WantedFields(IReadOnlyList<IReadOnlyList<string>> Paths, bool InPieces);
