using System.Buffers;
using System.Buffers.Text;
using System.IO.Pipelines;
using System.Text;
using System.Text.Json;

namespace Millrace.Commands.Simulate;

/// <summary>
/// Compares what a fleet was told is stored (the file of <c>simulate --acknowledged</c>) with what the log holds (the lines of
/// <c>millrace log dump</c>): every acknowledged reading must be there, at its position, unchanged.
/// </summary>
internal sealed class AcknowledgedBalance
{
    private const int ExamplesMax = 10;

    private readonly List<ulong[]> _byPosition = [];
    private readonly Dictionary<ulong, int> _anywhere = [];
    private readonly Dictionary<int, long> _next = [];

    /// <summary>Readings that were acknowledged.</summary>
    public long Acknowledged { get; private set; }

    /// <summary>Readings in the log.</summary>
    public long Stored { get; private set; }

    /// <summary>Acknowledged readings found where they should be.</summary>
    public long Found { get; private set; }

    /// <summary>Positions acknowledged twice, holding another reading than acknowledged, or sequences that are not dense.</summary>
    public long Faults { get; private set; }

    public long Missing => Acknowledged - Found;

    /// <summary>Stored readings nobody was told of: sent again after a crash, or cut off before the answer.</summary>
    public long StoredUnacknowledged => Stored - Found;

    public bool IsGood => Missing == 0 && Faults == 0;

    /// <summary>The first few faults and missing readings, in words.</summary>
    public List<string> Examples { get; } = [];

    public static async Task<AcknowledgedBalance> CompareAsync(Stream acknowledged, Stream dump, CancellationToken cancel)
    {
        var balance = new AcknowledgedBalance();
        await ForEachLineAsync(acknowledged, balance.TakeAcknowledged, cancel);
        await ForEachLineAsync(dump, balance.TakeStored, cancel);
        balance.NameMissing();
        return balance;
    }

    public override string ToString() =>
        $"acknowledged {Acknowledged}, found {Found}, missing {Missing}, faults {Faults}, stored {Stored} ({StoredUnacknowledged} without an answer)"
        + string.Concat(Examples.Select(example => $"{Environment.NewLine}  {example}"));

    private void TakeAcknowledged(ReadOnlySpan<byte> line)
    {
        var space = line.IndexOf((byte)' ');
        var last = line.LastIndexOf((byte)' ');
        if (space <= 0 || last <= space || !Utf8Parser.TryParse(line[(last + 1)..], out long mark, out _))
        {
            Fault($"not a line of an acknowledged file: {Encoding.UTF8.GetString(line)}");
            return;
        }

        Acknowledged++;
        var print = Print(line[(space + 1)..last], mark);
        if (line[0] == '-')
        {
            _anywhere[print] = _anywhere.GetValueOrDefault(print) + 1;
            return;
        }

        if (!Utf8Parser.TryParse(line, out int partition, out var colon) || !Utf8Parser.TryParse(line[(colon + 1)..], out long sequence, out _))
        {
            Fault($"not a position: {Encoding.UTF8.GetString(line)}");
            return;
        }

        while (_byPosition.Count <= partition)
            _byPosition.Add([]);
        var prints = _byPosition[partition];
        if (sequence >= prints.Length)
            Array.Resize(ref prints, Math.Max((int)sequence + 1, prints.Length * 2));
        _byPosition[partition] = prints;
        if (prints[sequence] != 0)
            Fault($"position {partition}:{sequence} was given to two readings");
        prints[sequence] = print;
    }

    private void TakeStored(ReadOnlySpan<byte> line)
    {
        Stored++;
        Span<byte> id = stackalloc byte[512];
        var (partition, sequence, idLength, mark) = Read(line, id);
        if (_next.TryGetValue(partition, out var expected) && sequence != expected)
            Fault($"partition {partition} goes from sequence {expected - 1} to {sequence}");
        _next[partition] = sequence + 1;

        var print = Print(id[..idLength], mark);
        if (partition < _byPosition.Count && sequence < _byPosition[partition].Length && _byPosition[partition][sequence] is var told and not 0)
        {
            _byPosition[partition][sequence] = 0;
            if (told == print)
                Found++;
            else
                Fault($"position {partition}:{sequence} holds another reading than was acknowledged: {Encoding.UTF8.GetString(line)}");
        }
        else if (_anywhere.TryGetValue(print, out var times) && times > 0)
        {
            _anywhere[print] = times - 1;
            Found++;
        }
    }

    private static (int Partition, long Sequence, int IdLength, long Mark) Read(ReadOnlySpan<byte> line, Span<byte> id)
    {
        var reader = new Utf8JsonReader(line);
        var (partition, sequence, idLength, mark) = (-1, -1L, 0, 0L);
        while (reader.Read())
        {
            if (reader.TokenType != JsonTokenType.PropertyName)
                continue;
            if (reader.CurrentDepth == 1 && reader.ValueTextEquals("partition"u8) && reader.Read())
                partition = reader.GetInt32();
            else if (reader.CurrentDepth == 1 && reader.ValueTextEquals("sequence"u8) && reader.Read())
                sequence = reader.GetInt64();
            else if (reader.CurrentDepth == 1 && reader.ValueTextEquals("id"u8) && reader.Read())
                idLength = reader.CopyString(id);
            else if (reader.CurrentDepth == 2 && reader.ValueTextEquals("value"u8) && reader.Read())
                mark = reader.TokenType == JsonTokenType.Number ? (long)(reader.GetDecimal() * 1000) : 0;
            else if (reader.CurrentDepth is 2 or 4 or 5 && (reader.ValueTextEquals("n"u8) || reader.ValueTextEquals("seqno"u8)) && reader.Read())
                mark = reader.TokenType == JsonTokenType.Number ? reader.GetInt64() : 0;
        }

        return (partition, sequence, idLength, mark);
    }

    private void NameMissing()
    {
        for (var partition = 0; partition < _byPosition.Count; partition++)
        {
            for (var sequence = 0; sequence < _byPosition[partition].Length && Examples.Count < ExamplesMax; sequence++)
            {
                if (_byPosition[partition][sequence] != 0)
                    Examples.Add($"acknowledged and not in the log: {partition}:{sequence}");
            }
        }
    }

    private void Fault(string what)
    {
        Faults++;
        if (Examples.Count < ExamplesMax)
            Examples.Add(what);
    }

    /// <summary>Tells readings apart; 0 is kept for "none".</summary>
    private static ulong Print(ReadOnlySpan<byte> id, long mark)
    {
        var print = SplitMix.Mix((ulong)mark);
        foreach (var b in id)
            print = (print ^ b) * 0x100000001B3UL;
        return SplitMix.Mix(print) | 1;
    }

    private static async Task ForEachLineAsync(Stream stream, Action<ReadOnlySpan<byte>> take, CancellationToken cancel)
    {
        var reader = PipeReader.Create(stream, new StreamPipeReaderOptions(bufferSize: 1 << 18));
        while (true)
        {
            var result = await reader.ReadAsync(cancel);
            var buffer = result.Buffer;
            while (buffer.PositionOf((byte)'\n') is { } end)
            {
                TakeLine(buffer.Slice(0, end), take);
                buffer = buffer.Slice(buffer.GetPosition(1, end));
            }

            reader.AdvanceTo(buffer.Start, buffer.End);
            if (result.IsCompleted)
                break;
        }

        await reader.CompleteAsync();
    }

    private static void TakeLine(ReadOnlySequence<byte> line, Action<ReadOnlySpan<byte>> take)
    {
        if (line.IsSingleSegment)
            take(line.FirstSpan);
        else
            take(line.ToArray());
    }
}
