namespace Millrace.StreamSql.Values;

/// <summary>What a <see cref="Value"/> holds. The numbers are part of the snapshot format and never change.</summary>
internal enum Kind : byte
{
    /// <summary>No such field: NULL for every expression, but told apart by <c>*</c> and by SELECT aliases in WHERE.</summary>
    Missing = 0,
    Null = 1,
    Bit = 2,
    Bigint = 3,
    Float = 4,
    Datetime = 5,

    /// <summary>UTF-8 text.</summary>
    Text = 6,

    /// <summary>UTF-8 text as it stands between the quotes of a JSON string, with escapes.</summary>
    EscapedText = 7,

    /// <summary>The digits of a JSON number, not converted yet: most are only copied to an output.</summary>
    NumberText = 8,

    /// <summary>A JSON object as text.</summary>
    Record = 9,

    /// <summary>A JSON array as text.</summary>
    Array = 10,
}
