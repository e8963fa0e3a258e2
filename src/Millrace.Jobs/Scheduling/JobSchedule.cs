using Millrace.Core;

namespace Millrace.Jobs.Scheduling;

/// <summary>When a scheduled job runs and over which readings.</summary>
/// <param name="Length">Null: the time since it was due before.</param>
internal sealed record JobSchedule(CronSchedule Cron, TimeSpan? Length)
{
    /// <summary>The first run after a moment (µs): readings received after From, up to and including To, when To is reached.</summary>
    public (long From, long To)? NextAfter(long moment)
    {
        if (Cron.Next(Micros.ToDateTime(moment)) is not { } due)
            return null;
        var to = Micros.FromDateTime(due);
        var from = Length is { } length ? to - (long)length.TotalMicroseconds
            : Cron.Previous(due) is { } previous ? Micros.FromDateTime(previous) : Micros.Min;
        return (from, to);
    }
}
