using System.Text;
using Millrace.StreamSql.Values;

namespace Millrace.StreamSql;

/// <summary>Type of a <see cref="SqlValue"/>.</summary>
public enum SqlValueKind
{
    Null,
    Bit,
    Bigint,
    Float,
    Datetime,
    Text,
    Record,
    Array,
}

/// <summary>
/// A value of the language outside the engine: what user functions take and give, and typed access to result rows.
/// A value handed out by the engine is valid during the call it was handed out in.
/// </summary>
public readonly struct SqlValue : IEquatable<SqlValue>
{
    private readonly Value value;

    internal SqlValue(in Value value)
    {
        if (!Conversion.TryRead(value, out this.value))
            this.value = value;
    }

    internal Value Inner => value;

    /// <summary>NULL.</summary>
    public static SqlValue Null => new(Value.Null);

    public SqlValueKind Kind => value.Kind switch
    {
        Values.Kind.Bit => SqlValueKind.Bit,
        Values.Kind.Bigint => SqlValueKind.Bigint,
        Values.Kind.Float or Values.Kind.NumberText => SqlValueKind.Float,
        Values.Kind.Datetime => SqlValueKind.Datetime,
        Values.Kind.Text or Values.Kind.EscapedText => SqlValueKind.Text,
        Values.Kind.Record => SqlValueKind.Record,
        Values.Kind.Array => SqlValueKind.Array,
        _ => SqlValueKind.Null,
    };

    public bool IsNull => value.IsNull;

    public static SqlValue FromBit(bool value) => new(Value.Of(value));

    public static SqlValue FromBigint(long value) => new(Value.Of(value));

    /// <exception cref="ArgumentException">The value is not finite: no expression of the language may be.</exception>
    public static SqlValue FromFloat(double value)
        => double.IsFinite(value) ? new(Value.Of(value)) : throw new ArgumentException("a float must be finite", nameof(value));

    /// <param name="value">Taken as UTC.</param>
    public static SqlValue FromDatetime(DateTime value) => new(Value.OfTicks(value.Ticks));

    public static SqlValue FromText(string value)
    {
        ArgumentNullException.ThrowIfNull(value);
        return new(Value.Of(value));
    }

    /// <summary>A record or array from JSON text.</summary>
    /// <exception cref="ArgumentException">The text is not a JSON object or array.</exception>
    public static SqlValue FromJson(string json)
    {
        ArgumentNullException.ThrowIfNull(json);
        return Json.JsonText.TryParse(Encoding.UTF8.GetBytes(json), out var parsed) && parsed.Kind is Values.Kind.Record or Values.Kind.Array
            ? new(parsed)
            : throw new ArgumentException("the text is not a JSON object or array", nameof(json));
    }

    public bool AsBit() => value.Kind == Values.Kind.Bit ? value.Bits != 0 : throw Mismatch("a bit");

    public long AsBigint() => value.Kind is Values.Kind.Bigint or Values.Kind.Bit ? value.Bits : throw Mismatch("a bigint");

    public double AsFloat() => value.Kind switch
    {
        Values.Kind.Float => value.Double,
        Values.Kind.Bigint or Values.Kind.Bit => value.Bits,
        _ => throw Mismatch("a float"),
    };

    public DateTime AsDatetime() => value.Kind == Values.Kind.Datetime
        ? new DateTime(Math.Clamp(value.Bits, 0, DateTime.MaxValue.Ticks), DateTimeKind.Utc)
        : throw Mismatch("a datetime");

    /// <summary>The value as CAST(… AS nvarchar(max)) gives it; a record or array as JSON. Empty for NULL.</summary>
    public override string ToString() => value.IsNull ? "" : Conversion.ToClrString(value);

    private InvalidOperationException Mismatch(string wanted) => new($"the value is {Kind} and not {wanted}");

    public bool Equals(SqlValue other)
        => Kind == other.Kind && (IsNull || (Comparison.Rank(value, other.value) == 0));

    public override bool Equals(object? obj) => obj is SqlValue other && Equals(other);

    public override int GetHashCode() => ToString().GetHashCode(StringComparison.Ordinal);

    public static bool operator ==(SqlValue left, SqlValue right) => left.Equals(right);

    public static bool operator !=(SqlValue left, SqlValue right) => !left.Equals(right);
}
