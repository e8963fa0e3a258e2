namespace Millrace.StreamSql;

/// <summary>Functions that the host adds to the language, called as <c>udf.name(…)</c>.</summary>
/// <remarks>Not thread-safe while functions are added. A function may be called by several executions at once.</remarks>
public sealed class FunctionRegistry
{
    private readonly Dictionary<string, (int Least, int Most, Func<SqlValue[], SqlValue> Body)> functions = new(StringComparer.OrdinalIgnoreCase);

    /// <summary>Adds or replaces a function.</summary>
    /// <param name="name">Name without the <c>udf.</c> prefix; case does not matter.</param>
    /// <param name="arguments">Number of arguments.</param>
    /// <param name="body">
    /// Must be pure: the same arguments give the same result for ever, or a restart gives other rows. An exception makes the
    /// event a bad one. The array and its values are valid during the call only.
    /// </param>
    public FunctionRegistry Add(string name, int arguments, Func<SqlValue[], SqlValue> body)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(name);
        ArgumentOutOfRangeException.ThrowIfNegative(arguments);
        ArgumentNullException.ThrowIfNull(body);
        functions[name] = (arguments, arguments, body);
        return this;
    }

    internal bool TryGet(string name, out (int Least, int Most, Func<SqlValue[], SqlValue> Body) function)
        => functions.TryGetValue(name, out function);
}
