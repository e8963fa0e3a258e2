using Millrace.Core;

namespace Millrace.Web.Tests;

/// <summary>Admits everybody but a device token that sends for another device, and devices named blocked.</summary>
internal sealed class OpenAdmission : IAdmission
{
    public RejectReason Admit(in Sender sender, ReadOnlySpan<byte> id)
    {
        if (id.SequenceEqual("blocked"u8))
            return RejectReason.DeviceBlocked;
        return sender.DeviceId.IsEmpty || sender.DeviceId.Span.SequenceEqual(id) ? RejectReason.None : RejectReason.NotAllowed;
    }
}
