using System.Text;
using Millrace.Core;

namespace Millrace.Listeners.Tests;

/// <summary>Admits everything but what the test names.</summary>
internal sealed class TestAdmission : IAdmission
{
    public Func<string, RejectReason> Decide { get; set; } = _ => RejectReason.None;

    /// <summary>Set when the test counts allocations: no text is made of ids.</summary>
    public bool AdmitsAll { get; set; }

    public RejectReason Admit(in Sender sender, ReadOnlySpan<byte> id) =>
        AdmitsAll ? RejectReason.None : Decide(Encoding.UTF8.GetString(id));
}

/// <summary>Keeps dead letters in a list.</summary>
internal sealed class TestDeadLetters : IDeadLetters
{
    private readonly Lock _gate = new();
    private readonly List<(RejectReason Reason, string? Device, string? Detail, byte[] Payload)> _kept = [];

    public IReadOnlyList<(RejectReason Reason, string? Device, string? Detail, byte[] Payload)> Kept
    {
        get
        {
            lock (_gate)
                return [.. _kept];
        }
    }

    public void Keep(ListenerId listener, RejectReason reason, ushort tenant, string? device, string? detail, ReadOnlySpan<byte> payload)
    {
        lock (_gate)
            _kept.Add((reason, device, detail, payload.ToArray()));
    }
}
