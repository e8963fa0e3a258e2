namespace Millrace.StreamSql.Operators;

/// <summary>Why an event is a bad one for every query that reads it.</summary>
internal static class BadEvents
{
    public const string NotAnObject = "the payload is not one JSON object";

    public static string NotOfItsType(string column) => $"the field {column} cannot be converted to its declared type";
}
