using Millrace.Core;

namespace Millrace.Commands;

/// <summary>Times of arrival as options give them.</summary>
internal static class Times
{
    public const string Meaning = "2026-11-20, 2026-11-20T15:04Z or Unix milliseconds";

    /// <exception cref="UsageException">It is no time.</exception>
    public static long Parse(string option, string? text, long otherwise)
    {
        if (text is null)
            return otherwise;
        return Micros.TryParse(text, out var micros) ? micros : throw new UsageException([$"{option} {text} is not a time; write {Meaning}"]);
    }
}
