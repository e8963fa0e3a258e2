using Millrace.StreamSql.Binding;
using Millrace.StreamSql.Expressions;
using Millrace.StreamSql.Json;
using Millrace.StreamSql.Values;

namespace Millrace.StreamSql;

/// <summary>Reads a time out of payloads: what a recorded file's events are ordered by where it tells no arrival.</summary>
/// <remarks>Not thread-safe.</remarks>
public sealed class EventTimeReader
{
    private readonly EventReader reader;
    private readonly Row row;
    private readonly Node node;
    private readonly Frame frame;

    private EventTimeReader(PathTree paths, Node node)
    {
        reader = new EventReader(paths);
        row = new Row(paths.SlotCount);
        this.node = node;
        frame = new Frame { Sources = [row] };
    }

    /// <summary>Reads a field, walked by dots.</summary>
    public static EventTimeReader ForField(string path)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(path);
        var paths = new PathTree();
        var slot = paths.Add(path.Split('.'));
        return new EventTimeReader(paths, new ColumnNode(0, slot));
    }

    /// <summary>Reads the TIMESTAMP BY of an input; null when no query has one on it.</summary>
    public static EventTimeReader? ForTimestampBy(CompiledQuery query, int input)
    {
        ArgumentNullException.ThrowIfNull(query);
        var plan = StreamQuery.Bind(query.Text, query.Options, out _, out _);
        var stream = plan.Inputs[input].Streams.Find(s => s.TimestampBy is not null);
        return stream is null ? null : new EventTimeReader(plan.Inputs[input].Paths, stream.TimestampBy!);
    }

    /// <summary>An ISO string, or a number: seconds or milliseconds since 1970.</summary>
    /// <param name="payload">The event.</param>
    /// <param name="ticks">Ticks of 100 ns since 0001-01-01 UTC.</param>
    public bool TryRead(ReadOnlySpan<byte> payload, out long ticks)
    {
        ticks = 0;
        if (!reader.TryRead(payload, row.Columns))
            return false;
        frame.Error = null;
        node.Evaluate(frame, out var value);
        if (frame.Error is not null || value.IsNull)
            return false;
        if (Conversion.TryToTicks(value, out ticks))
            return true;
        if (!Comparison.IsNumeric(value.Kind) || !Conversion.TryToNumber(value, out var number))
            return false;

        // Seconds reach this size in the year 5138, milliseconds passed it in 1973.
        const double secondsMax = 1e11;
        var count = number.Kind == Kind.Bigint ? number.Bits : number.Double;
        var since = count * (Math.Abs(count) < secondsMax ? TimeSpan.TicksPerSecond : TimeSpan.TicksPerMillisecond);
        if (Math.Abs(since) > 1e17)
            return false;
        ticks = DateTime.UnixEpoch.Ticks + (long)since;
        return true;
    }
}
