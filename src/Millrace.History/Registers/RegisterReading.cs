namespace Millrace.History.Registers;

/// <summary>How far a value can be trusted. The numbers are stored and never change.</summary>
public enum Quality : byte
{
    Measured = 0,
    Estimated = 1,
    Edited = 2,
    Questionable = 3,
    Missing = 4,
}

/// <summary>A register's value at a time (µs UTC).</summary>
public readonly record struct RegisterReading(long Time, decimal Value, Quality Quality = Quality.Measured);

/// <summary>A meter was replaced: what the old one showed last and the new one first.</summary>
/// <param name="Time">When, µs UTC; readings from then on are the new meter's.</param>
/// <param name="FinalOld">The old meter's last value; null when nobody noted it: what passed since its last reading is then lost.</param>
/// <param name="FirstNew">The new meter's first value.</param>
public readonly record struct MeterExchange(long Time, decimal? FinalOld, decimal FirstNew);

/// <summary>What happened between two readings of a register.</summary>
public enum RegisterEvent
{
    /// <summary>It counted up, or stood still.</summary>
    Advance,

    /// <summary>It passed its last digit: a drop whose implied use is plausible.</summary>
    Rollover,

    /// <summary>It dropped further than a rollover explains: reset, reboot, or an exchange nobody recorded. The use between is not known.</summary>
    Reset,

    /// <summary>The meter was replaced, as recorded.</summary>
    Exchange,

    /// <summary>It rose by more than can have passed, and went on from there: the use between is not known.</summary>
    Jump,
}

/// <summary>The use between two readings.</summary>
/// <param name="From">The earlier reading's time, µs UTC.</param>
/// <param name="To">The later reading's time.</param>
/// <param name="Use">What passed; 0 where it is not known.</param>
/// <param name="Quality">Measured between measured readings; questionable where the use is not known.</param>
public readonly record struct RegisterStep(long From, long To, decimal Use, RegisterEvent Event, Quality Quality);
