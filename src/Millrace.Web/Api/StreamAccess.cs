using Microsoft.AspNetCore.Http;
using Millrace.Core;

namespace Millrace.Web.Api;

/// <summary>
/// Whether whoever opened a stream still may listen. Asked again now and then, because a stream lives for days: a token that was
/// revoked and a session that was left end it within <see cref="EventStream.KeepAlive"/>.
/// </summary>
internal sealed class StreamAccess(HttpContext context, ServerState state)
{
    private long _askedAt = state.Parts.Time.GetTimestamp();

    public bool Holds()
    {
        var time = state.Parts.Time;
        if (time.GetElapsedTime(_askedAt) < EventStream.KeepAlive)
            return true;
        _askedAt = time.GetTimestamp();
        return state.Authenticator.Identify(context) is { DeviceId: null, Role: >= Role.Read };
    }
}
