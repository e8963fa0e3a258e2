using System.Net;
using Microsoft.Extensions.Logging;

namespace Millrace.Listeners.Tcp;

internal static partial class TcpLineListenerLog
{
    [LoggerMessage(1100, LogLevel.Information, "TCP lines are taken on {Endpoint}.")]
    public static partial void Bound(ILogger log, string endpoint);

    [LoggerMessage(1101, LogLevel.Debug, "{Remote} connected.")]
    public static partial void Connected(ILogger log, EndPoint? remote);

    [LoggerMessage(1102, LogLevel.Debug, "{Remote} was cut off: {Reason}")]
    public static partial void CutOff(ILogger log, EndPoint? remote, string reason);

    [LoggerMessage(1103, LogLevel.Warning, "{Connections} connections are open, as many as are allowed; the longest silent one gave way. Raise Listeners:Tcp:ConnectionsMax if they are devices.")]
    public static partial void Crowded(ILogger log, int connections);

    [LoggerMessage(1104, LogLevel.Warning, "No connection could be accepted: {Reason} Trying again; raise the limit of open files if it is that.")]
    public static partial void AcceptFailed(ILogger log, string reason);

    [LoggerMessage(1105, LogLevel.Error, "A connection ended by a fault of ours; what it had sent without an answer may be missing.")]
    public static partial void Faulted(ILogger log, Exception fault);

    [LoggerMessage(1106, LogLevel.Information, "TCP lines stopped; {Received} lines received since the start.")]
    public static partial void Stopped(ILogger log, long received);
}
