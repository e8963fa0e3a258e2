namespace Millrace.History.Payloads;

/// <summary>Takes the values of a payload whose layout is known, in their order. False: it does not take the value so, and the payload is read anew without the layout.</summary>
/// <typeparam name="TMember">What the sink noted of the member when the layout was learned.</typeparam>
internal interface IPayloadSink<TMember>
{
    /// <param name="quoted">The string with its quotes, without escapes.</param>
    bool TakeText(in TMember member, ReadOnlySpan<byte> quoted);

    bool TakeNumber(in TMember member, ReadOnlySpan<byte> raw, in JsonNumber number);

    bool TakeFlag(in TMember member, bool value);

    /// <summary>Forgets what was taken of this payload: its layout is another one.</summary>
    void Undo();
}
