using System.Security.Cryptography;

namespace Millrace.Outputs;

/// <summary>One life of a job's numbering: what a server with this data folder made from a version on.</summary>
/// <param name="Id">Drawn at random; no other server and no other data folder has it.</param>
public sealed record Incarnation(string Id, int FromVersion)
{
    // People see it in tables and sheets: 48 random bits are enough to tell servers apart.
    public static Incarnation New(int fromVersion) => new(Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(6)), fromVersion);
}

/// <summary>
/// Whose rows a job's rows are. Row numbers are unique within one data folder only: another server, a new folder or one restored from a
/// backup gives them out again. So a target is told the incarnation with the rows, and one that holds rows of another is left alone.
/// </summary>
/// <param name="incarnations">By the version they begin with, ascending.</param>
/// <param name="version">The job's version now.</param>
public sealed class Lineage(IReadOnlyList<Incarnation> incarnations, int version)
{
    /// <summary>Of rows that nobody tells apart: every target is accepted.</summary>
    public static Lineage None { get; } = new([], 0);

    /// <summary>The incarnation that made a version's rows, or null.</summary>
    public string? IdOf(int version) => incarnations.LastOrDefault(i => i.FromVersion <= version)?.Id;

    /// <summary>Checks that what a target holds was made by this job.</summary>
    /// <param name="id">The incarnation the target names; null: it was written by a release that named none.</param>
    /// <param name="place">The target, for the message.</param>
    /// <param name="mend">How to make the target usable, as the end of a sentence.</param>
    /// <exception cref="OutputException">It was made by somebody else, or after the backup this folder was restored from.</exception>
    public void Accept(OutputSource source, RowId held, string? id, string place, string mend)
    {
        if (incarnations.Count == 0 || held == RowId.None)
            return;
        if (held.Version <= version && (id is null || id == IdOf(held.Version)))
            return;
        throw new OutputException(
            $"{place} holds rows of {source} up to {held} that this data folder did not make: another server writes them, or an earlier data folder did, "
            + $"or they came after the backup that was restored; {mend}",
            refused: true);
    }
}
