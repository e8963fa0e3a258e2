using Millrace.Core;

namespace Millrace.Web;

/// <summary>How a view of the log stands, for status, metrics and events.</summary>
/// <param name="State">running, restarting, stopped …</param>
/// <param name="Skipped">Readings that retention or damage took from it.</param>
public sealed record ViewStatus(string Name, string State, PositionVector Position, long Skipped, string? LastError);
