namespace Millrace.History.Payloads;

/// <summary>What a value of a payload is, as its layout tells it.</summary>
internal enum PayloadKind : byte
{
    /// <summary>A string without escapes.</summary>
    Text,
    Number,

    /// <summary>True or false.</summary>
    Flag,
    Null,
}
