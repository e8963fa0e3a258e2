using System.Buffers;
using Millrace.Core;

namespace Millrace.Commands.Transfer;

/// <summary>Where exported readings go.</summary>
internal interface IReadingSink : IDisposable
{
    /// <summary>Enough was added to make it durable.</summary>
    bool IsFull { get; }

    void Add(in ReadingRecord record, int partition);

    /// <summary>Makes what was added durable and says how much of the output counts now.</summary>
    long Flush();
}

/// <summary>One line of text a reading.</summary>
internal interface ILineFormat
{
    /// <summary>The first line, or nothing.</summary>
    string Header { get; }

    void Write(in ReadingRecord record, int partition, IBufferWriter<byte> output);
}
