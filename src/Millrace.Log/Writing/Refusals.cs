using Millrace.Core;

namespace Millrace.Log.Writing;

internal static class Refusals
{
    /// <summary>How the ledger counts readings that were refused.</summary>
    public static DropReason Drop(this LogUnavailableException refusal) =>
        refusal.State == LogState.Full ? DropReason.LogFull : DropReason.LogFailed;
}
