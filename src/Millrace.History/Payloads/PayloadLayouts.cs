namespace Millrace.History.Payloads;

/// <summary>
/// Layouts of payloads met before. Payloads of one device type have the same members in the same order, so all but their values is the same to the byte: a
/// known one is taken apart by comparing what stands between the values, without looking a name up. What fits no layout is read the long way, and may be
/// learned from there. Hot. Not for several threads.
/// </summary>
internal sealed class PayloadLayouts<TMember>
{
    /// <summary>Device types whose payloads come mixed; with more of them the rarest are read the long way.</summary>
    private const int LayoutsMax = 8;

    private const int ValuesMax = 256;

    /// <summary>Senders whose payloads all differ must not have each of them learned.</summary>
    private const int PauseMax = 4096;

    private readonly List<Layout> _layouts = [];
    private readonly List<(int Start, int End, PayloadKind Kind, TMember Member)> _seen = [];
    private int _pause;
    private int _untilNext;

    /// <summary>Whether the payload that is being read the long way is to be learned: <see cref="Saw"/> is wanted.</summary>
    public bool IsLearning { get; private set; }

    /// <summary>Gives the values of a payload to the sink if one of the layouts is the payload's. False: nothing was taken.</summary>
    public bool TryRead<TSink>(ReadOnlySpan<byte> json, ref TSink sink)
        where TSink : struct, IPayloadSink<TMember>
    {
        for (var i = 0; i < _layouts.Count; i++)
        {
            var layout = _layouts[i];
            if (!json.EndsWith(layout.After))
                continue;

            if (layout.TryRead(json, ref sink))
            {
                // What was met last comes first.
                for (var j = i; j > 0; j--)
                    _layouts[j] = _layouts[j - 1];
                _layouts[0] = layout;
                return true;
            }

            sink.Undo();
        }

        return false;
    }

    /// <summary>A payload is about to be read the long way.</summary>
    public void BeginLearning()
    {
        IsLearning = _untilNext-- <= 0;
        _seen.Clear();
    }

    /// <summary>A value that is taken in whole; what is not told is part of the layout.</summary>
    /// <param name="start">Where the value begins: a string at its opening quote.</param>
    public void Saw(int start, int end, PayloadKind kind, TMember member)
    {
        _seen.Add((start, end, kind, member));
        IsLearning &= _seen.Count < ValuesMax;
    }

    /// <summary>There is something in the payload that no layout tells.</summary>
    public void StopLearning() => IsLearning = false;

    /// <summary>Keeps the layout of the payload whose values were told.</summary>
    public void Learn(ReadOnlySpan<byte> json)
    {
        if (!IsLearning)
            return;

        IsLearning = false;
        _pause = Math.Min(PauseMax, _pause + Math.Max(1, _pause / 2));
        _untilNext = _pause;
        if (_layouts.Count == LayoutsMax)
            _layouts.RemoveAt(LayoutsMax - 1);
        _layouts.Insert(0, Layout.Of(json, _seen));
    }

    /// <summary>Forgets all layouts: what was noted of the members does not hold any more.</summary>
    public void Clear()
    {
        _layouts.Clear();
        (IsLearning, _pause, _untilNext) = (false, 0, 0);
    }

    private readonly record struct Step(byte[] Before, PayloadKind Kind, TMember Member);

    private sealed class Layout(Step[] steps, byte[] after)
    {
        public byte[] After => after;

        public static Layout Of(ReadOnlySpan<byte> json, List<(int Start, int End, PayloadKind Kind, TMember Member)> seen)
        {
            var steps = new Step[seen.Count];
            var at = 0;
            for (var i = 0; i < steps.Length; i++)
            {
                var (start, end, kind, member) = seen[i];
                // The quotes of a string are always there, so they are part of what stands between.
                var quote = kind == PayloadKind.Text ? 1 : 0;
                steps[i] = new Step(json[at..(start + quote)].ToArray(), kind, member);
                at = end - quote;
            }

            return new Layout(steps, json[at..].ToArray());
        }

        public bool TryRead<TSink>(ReadOnlySpan<byte> json, ref TSink sink)
            where TSink : struct, IPayloadSink<TMember>
        {
            var at = 0;
            foreach (ref readonly var step in steps.AsSpan())
            {
                if (!json[at..].StartsWith(step.Before))
                    return false;

                at += step.Before.Length;
                var start = at;
                switch (step.Kind)
                {
                    case PayloadKind.Text:
                        var length = JsonText.MeasurePlain(json[at..]);
                        if (length < 0 || !sink.TakeText(step.Member, json.Slice(at - 1, length + 2)))
                            return false;
                        at += length;
                        break;
                    case PayloadKind.Number:
                        if (!JsonNumber.TryRead(json, ref at, out var number) || !sink.TakeNumber(step.Member, json[start..at], number))
                            return false;
                        break;
                    case PayloadKind.Flag:
                        var flag = json[at..].StartsWith("true"u8);
                        if ((!flag && !json[at..].StartsWith("false"u8)) || !sink.TakeFlag(step.Member, flag))
                            return false;
                        at += flag ? 4 : 5;
                        break;
                    default:
                        if (!json[at..].StartsWith("null"u8))
                            return false;
                        at += 4;
                        break;
                }
            }

            return json[at..].SequenceEqual(after);
        }
    }
}
