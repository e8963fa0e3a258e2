using System.Buffers;
using System.Text;
using Millrace.Codecs;
using Millrace.Core;
using Millrace.Processing.DeadLetters;
using Millrace.StreamSql;

namespace Millrace.Jobs.Running;

/// <summary>Gives the records of a block to an execution as events. Hot: a JSON payload goes as it lies in the block.</summary>
internal sealed class EventFeed(ushort tenant, string job, int inputs)
{
    private readonly ArrayBufferWriter<byte> _view = new(4096);
    private readonly byte[] _job = Encoding.UTF8.GetBytes(job);

    /// <summary>
    /// Gives one record to every input, where it may wait until the execution is flushed; false when it is not this job's.
    /// </summary>
    public bool Push(QueryExecution execution, in ReadingRecord record, int partition)
    {
        if (record.Tenant != tenant)
            return false;
        if (record.TryGetProperty(ReadingProperties.Job, out var meant) && !meant.SequenceEqual(_job))
            return false;
        var payload = record.Payload;
        if (record.Format != PayloadFormat.Json)
        {
            _view.ResetWrittenCount();
            PayloadView.WriteJson(in record, _view);
            payload = _view.WrittenSpan;
        }

        var properties = new EventProperties(Encoding.UTF8.GetString(record.Id), partition);
        for (var input = 0; input < inputs; input++)
            execution.Post(input, record.ReceivedAt, payload, properties);
        return true;
    }

    /// <summary>Keeps an event that a query could not take.</summary>
    public void KeepDeadLetter(in StreamSql.DeadLetter letter, DeadLetterStore? store) =>
        store?.KeepForJob(job, "bad_event", tenant, letter.DeviceId, $"{letter.Query}: {letter.Reason}", letter.Payload.Span);
}
