using Millrace.Core;
using Millrace.StreamSql;

namespace Millrace.Jobs.Running;

/// <summary>The state of an execution in bytes. The engine adds its tables up for this: once a second is enough.</summary>
internal sealed class MemoryGauge(TimeProvider time)
{
    private long _at;
    private long _bytes;

    public long Bytes(QueryExecution execution)
    {
        var now = time.Now();
        if (now - _at >= Micros.PerSecond)
            (_at, _bytes) = (now, execution.EstimateMemory());
        return _bytes;
    }
}
