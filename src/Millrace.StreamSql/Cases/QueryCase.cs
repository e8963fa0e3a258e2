using System.Globalization;
using System.Text;
using System.Text.Json;
using Millrace.StreamSql.Values;

namespace Millrace.StreamSql.Cases;

/// <summary>One event of a case.</summary>
/// <param name="Input">Name of its input.</param>
/// <param name="ArrivalTicks">Arrival in ticks since 0001-01-01 UTC.</param>
/// <param name="Payload">The event as received.</param>
public sealed record CaseEvent(string Input, long ArrivalTicks, byte[] Payload);

/// <summary>A query with its inputs and what must come out: the format that <c>millrace query test</c> runs.</summary>
public sealed class QueryCase
{
    private QueryCase(string name, string query)
    {
        Name = name;
        Query = query;
    }

    public string Name { get; }

    public string Query { get; }

    /// <summary>Events of all inputs in order of arrival.</summary>
    public IReadOnlyList<CaseEvent> Events { get; private set; } = [];

    public IReadOnlyDictionary<string, IReadOnlyList<ReadOnlyMemory<byte>>> References { get; private set; }
        = new Dictionary<string, IReadOnlyList<ReadOnlyMemory<byte>>>();

    public CompileOptions Options { get; private set; } = new();

    /// <summary>Output name → rows as JSON; null when compilation must fail.</summary>
    public IReadOnlyDictionary<string, IReadOnlyList<JsonElement>>? Expected { get; private set; }

    public bool IsOrdered { get; private set; }

    public IReadOnlyDictionary<string, long> ExpectedCounters { get; private set; } = new Dictionary<string, long>();

    public int ErrorLine { get; private set; }

    public int? ErrorColumn { get; private set; }

    public string ErrorContains { get; private set; } = "";

    /// <summary>Reads a case file.</summary>
    /// <exception cref="InvalidDataException">The text is not a case.</exception>
    public static QueryCase Parse(string json)
    {
        JsonElement root;
        try
        {
            root = JsonDocument.Parse(json, new JsonDocumentOptions { MaxDepth = 1024 }).RootElement;
        }
        catch (JsonException failure)
        {
            throw new InvalidDataException($"not JSON: {failure.Message}", failure);
        }

        if (root.ValueKind != JsonValueKind.Object || !root.TryGetProperty("query", out var query) || query.ValueKind != JsonValueKind.String)
            throw new InvalidDataException("a case is an object with a query");
        var result = new QueryCase(root.TryGetProperty("name", out var name) ? name.GetString() ?? "" : "", query.GetString()!);
        try
        {
            result.ReadInputs(root);
            result.ReadExpectation(root);
        }
        catch (Exception failure) when (failure is KeyNotFoundException or InvalidOperationException or FormatException)
        {
            throw new InvalidDataException($"the case has an unexpected shape: {failure.Message}", failure);
        }

        return result;
    }

    private void ReadInputs(JsonElement root)
    {
        var events = new List<CaseEvent>();
        var inputs = new List<string>();
        if (root.TryGetProperty("inputs", out var all))
        {
            foreach (var input in all.EnumerateObject())
            {
                inputs.Add(input.Name);
                foreach (var item in input.Value.EnumerateArray())
                    events.Add(new CaseEvent(input.Name, TicksOf(item.GetProperty("t").GetString()!), PayloadOf(item)));
            }
        }

        var references = new Dictionary<string, IReadOnlyList<ReadOnlyMemory<byte>>>(StringComparer.OrdinalIgnoreCase);
        if (root.TryGetProperty("reference", out all))
        {
            foreach (var reference in all.EnumerateObject())
            {
                references[reference.Name] =
                    [.. reference.Value.EnumerateArray().Select(r => new ReadOnlyMemory<byte>(Encoding.UTF8.GetBytes(r.GetRawText())))];
            }
        }

        var options = new CompileOptions { Inputs = inputs, References = [.. references.Keys] };
        if (root.TryGetProperty("settings", out var settings))
        {
            foreach (var setting in settings.EnumerateObject())
            {
                options = setting.Name switch
                {
                    "late_arrival_seconds" => options with { LateArrival = TimeSpan.FromSeconds(setting.Value.GetDouble()) },
                    "out_of_order_seconds" => options with { OutOfOrder = TimeSpan.FromSeconds(setting.Value.GetDouble()) },
                    "policy" => options with { Policy = setting.Value.GetString() == "drop" ? OrderPolicy.Drop : OrderPolicy.Adjust },
                    _ => throw new FormatException($"unknown setting {setting.Name}"),
                };
            }
        }

        // OrderBy is stable: events of one input keep their order.
        Events = [.. events.OrderBy(e => e.ArrivalTicks)];
        References = references;
        Options = options;
    }

    private static byte[] PayloadOf(JsonElement item)
        => Encoding.UTF8.GetBytes(item.TryGetProperty("raw", out var raw) ? raw.GetString()! : item.GetProperty("event").GetRawText());

    private static long TicksOf(string text)
        => IsoTime.TryParse(Encoding.UTF8.GetBytes(text), out var ticks) ? ticks : throw new FormatException($"{text} is not a time");

    private void ReadExpectation(JsonElement root)
    {
        IsOrdered = root.TryGetProperty("ordered", out var ordered) && ordered.GetBoolean();
        if (root.TryGetProperty("expected_error", out var error))
        {
            ErrorLine = error.GetProperty("line").GetInt32();
            ErrorContains = error.GetProperty("contains").GetString()!;
            ErrorColumn = error.TryGetProperty("column", out var column) ? column.GetInt32() : null;
            return;
        }

        Expected = root.GetProperty("expected").EnumerateObject().ToDictionary(
            o => o.Name, o => (IReadOnlyList<JsonElement>)[.. o.Value.EnumerateArray()], StringComparer.OrdinalIgnoreCase);
        if (root.TryGetProperty("expected_counters", out var counters))
            ExpectedCounters = counters.EnumerateObject().ToDictionary(c => c.Name, c => c.Value.GetInt64());
    }

    /// <summary>Compares compile errors with the expected one; null when they fit.</summary>
    public string? CheckErrors(IReadOnlyList<QueryError> errors)
    {
        ArgumentNullException.ThrowIfNull(errors);
        if (Expected is not null)
            return errors.Count == 0 ? null : $"does not compile: {errors[0]}";
        if (errors.Count == 0)
            return $"compiles, but an error in line {ErrorLine} with '{ErrorContains}' was expected";
        var first = errors[0];
        var fits = first.Line == ErrorLine && (ErrorColumn is null || first.Column == ErrorColumn)
            && first.Message.Contains(ErrorContains, StringComparison.OrdinalIgnoreCase);
        return fits
            ? null
            : string.Create(CultureInfo.InvariantCulture, $"error {first}, but {ErrorLine}:{ErrorColumn} with '{ErrorContains}' was expected");
    }
}
