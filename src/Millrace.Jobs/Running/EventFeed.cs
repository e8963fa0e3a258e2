using System.Buffers;
using System.Text;
using Millrace.Codecs;
using Millrace.Core;
using Millrace.Processing.DeadLetters;
using Millrace.StreamSql;

namespace Millrace.Jobs.Running;

/// <summary>Gives the records of a block, or readings out of the history, to one execution as events. Hot: a JSON payload goes as it lies in the block.</summary>
internal sealed class EventFeed(ushort tenant, string job, int inputs)
{
    private readonly ArrayBufferWriter<byte> _view = new(4096);
    private readonly byte[] _job = Encoding.UTF8.GetBytes(job);
    private EventFields? _fields;

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

        Push(execution, record.ReceivedAt, payload, new EventProperties(Encoding.UTF8.GetString(record.Id), partition));
        return true;
    }

    /// <summary>As with a record: gives a reading out of the history to every input.</summary>
    public bool Push(QueryExecution execution, PastReading reading)
    {
        if (reading.Tenant != tenant)
            return false;
        if (!reading.IsInPieces)
        {
            Push(execution, reading.ReceivedAt, reading.Json.Span, new EventProperties(Encoding.UTF8.GetString(reading.Device), reading.Partition));
            return true;
        }

        var fields = _fields ??= execution.FieldsOf(0) ?? throw new InvalidOperationException("the query takes payloads only");
        fields.Begin(reading.Buffer, reading.DeviceStart, reading.Device.Length);
        for (var pieces = reading.Pieces; pieces.MoveNext();)
            Set(fields, in pieces, reading.Buffer);
        execution.PushFields(0, reading.ReceivedAt, reading.Partition);
        return true;
    }

    private void Push(QueryExecution execution, long receivedAt, ReadOnlySpan<byte> payload, in EventProperties properties)
    {
        for (var input = 0; input < inputs; input++)
            execution.Post(input, receivedAt, payload, properties);
    }

    private static void Set(EventFields fields, in FieldPieces piece, byte[] buffer)
    {
        switch (piece.Kind)
        {
            case PieceKind.Double:
                fields.SetFloat(piece.Path, piece.Double);
                break;
            case PieceKind.Integer:
                fields.SetBigint(piece.Path, piece.Integer);
                break;
            case PieceKind.Text:
                fields.SetText(piece.Path, buffer, piece.Start, piece.Length);
                break;
            case PieceKind.Digits:
                fields.SetDigits(piece.Path, buffer, piece.Start, piece.Length);
                break;
            default:
                fields.SetBit(piece.Path, piece.Kind == PieceKind.True);
                break;
        }
    }

    /// <summary>Keeps an event that a query could not take.</summary>
    public void KeepDeadLetter(in StreamSql.DeadLetter letter, DeadLetterStore? store) =>
        store?.KeepForJob(job, "bad_event", tenant, letter.DeviceId, $"{letter.Query}: {letter.Reason}", letter.Payload.Span);
}
