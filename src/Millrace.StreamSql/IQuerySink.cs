using System.Buffers;
using Millrace.StreamSql.Expressions;
using Millrace.StreamSql.Json;
using Millrace.StreamSql.Values;

namespace Millrace.StreamSql;

/// <summary>Takes what an execution produces. Called on the thread that feeds the execution, whatever its number of threads.</summary>
public interface IQuerySink
{
    /// <summary>A result row. The object is reused: valid during the call only.</summary>
    void OnRow(OutputRow row);

    /// <summary>An event that a query could not evaluate.</summary>
    void OnDeadLetter(in DeadLetter letter);
}

/// <summary>An event that one query skipped.</summary>
/// <param name="Reason">One sentence.</param>
/// <param name="Query">Name of the step or output whose SELECT failed.</param>
/// <param name="ArrivalMicroseconds">Arrival time, µs since 1970-01-01 UTC; 0 when the failing row came of several events.</param>
/// <param name="Payload">
/// The event as received, valid during the call; empty when the failing row came of several events, or waited with so many others
/// (for another input, or as a left row without a match) that their payloads were not kept.
/// </param>
/// <param name="DeviceId">The event's <see cref="EventProperties.DeviceId"/>; null when the failing row came of several events.</param>
public readonly record struct DeadLetter(string Reason, string Query, long ArrivalMicroseconds, ReadOnlyMemory<byte> Payload, string? DeviceId);

/// <summary>One result row.</summary>
public sealed class OutputRow
{
    private readonly List<(string Name, Value Value)> columns = [];
    private readonly JsonBuffer json = new();
    private OutputItem[] items = [];
    private Frame frame = new();
    private Value written;
    private bool isRead;

    /// <summary>Whether a row was ever asked for as JSON.</summary>
    internal bool HasWrittenJson { get; private set; }

    /// <summary>Name of the output, as the script first spells it.</summary>
    public string Output { get; private set; } = "";

    /// <summary>Ordinal of the output in <see cref="CompiledQuery.Outputs"/>.</summary>
    public int OutputOrdinal { get; private set; }

    /// <summary>Number of the row in its output: 0, 1, 2 … without gaps, the same after a restart from a snapshot.</summary>
    public long Number { get; private set; }

    /// <summary>Timestamp in ticks of 100 ns since 0001-01-01 UTC.</summary>
    public long TimestampTicks { get; private set; }

    /// <summary>
    /// Whether the rows of this output come in order of their timestamps. They do, except where sub-streams (TIMESTAMP BY … OVER)
    /// need not wait for each other; then they do within each.
    /// </summary>
    public bool IsTimeOrdered { get; internal init; } = true;

    public DateTime Timestamp => new(Math.Clamp(TimestampTicks, 0, DateTime.MaxValue.Ticks), DateTimeKind.Utc);

    /// <summary>The row as a JSON object in UTF-8, valid during the call.</summary>
    public ReadOnlySpan<byte> Json
    {
        get
        {
            HasWrittenJson = true;
            if (written.Kind == Kind.Record)
                return written.Span;
            if (json.Length == 0)
                OutputItem.Write(json, items, frame, writeNulls: true);
            return json.Written;
        }
    }

    /// <summary>Appends the row as a JSON object.</summary>
    public void WriteTo(IBufferWriter<byte> target)
    {
        ArgumentNullException.ThrowIfNull(target);
        target.Write(Json);
    }

    /// <summary>Number of columns; a star's fields count one by one.</summary>
    public int ColumnCount => Columns.Count;

    public string ColumnName(int index) => Columns[index].Name;

    public SqlValue Column(int index) => new(Columns[index].Value);

    private List<(string Name, Value Value)> Columns
    {
        get
        {
            if (!isRead)
                OutputItem.Read(items, frame, columns);
            isRead = true;
            return columns;
        }
    }

    internal void Set(string output, int ordinal, long number, OutputItem[] rowItems, Frame rowFrame, in Value rowJson)
    {
        Output = output;
        OutputOrdinal = ordinal;
        Number = number;
        TimestampTicks = rowFrame.Time;
        items = rowItems;
        frame = rowFrame;
        written = rowJson;
        json.Clear();
        isRead = false;
    }
}
