namespace Millrace.History.Rollups.Stored;

/// <summary>What of a cell need not be stored. The numbers are stored and never change.</summary>
[Flags]
internal enum CellMarks : byte
{
    None = 0,
    Single = 1,
    MinIsFirst = 2,
    MaxIsFirst = 4,
    MinIsLast = 8,
    MaxIsLast = 16,
    RiseIsDifference = 32,
    NeedsRecount = 64,
    RiseIsZero = 128,
}
