using Microsoft.Extensions.Logging;

namespace Millrace.Processing.DeadLetters;

internal static partial class DeadLetterLog
{
    [LoggerMessage(5301, LogLevel.Warning, "Dead letters cannot be written below {Folder}; they are counted but their bytes are lost.")]
    public static partial void NotWritten(ILogger log, string folder, Exception e);
}
