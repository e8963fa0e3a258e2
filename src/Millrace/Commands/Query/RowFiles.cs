using System.Text;
using System.Text.Json;
using Millrace.StreamSql;

namespace Millrace.Commands.Query;

/// <summary>Writes rows to DIR/OUTPUT.jsonl and bad events to DIR/dead-letter.jsonl.</summary>
internal sealed class RowFiles : IQuerySink, IDisposable
{
    private readonly List<FileStream> outputs = [];
    private readonly FileStream deadLetters;

    public RowFiles(string folder, IReadOnlyList<string> names)
    {
        foreach (var name in names)
        {
            if (name.AsSpan().ContainsAny(Path.GetInvalidFileNameChars()) || name is "." or ".." or "")
                throw new ArgumentException($"the output {name} cannot be the name of a file");
        }

        Directory.CreateDirectory(folder);
        foreach (var name in names)
            outputs.Add(Create(folder, name));
        deadLetters = Create(folder, "dead-letter");
    }

    private static FileStream Create(string folder, string name)
        => new(Path.Combine(folder, name + ".jsonl"), FileMode.Create, FileAccess.Write, FileShare.Read, 1 << 16);

    public void OnRow(OutputRow row)
    {
        var file = outputs[row.OutputOrdinal];
        file.Write(row.Json);
        file.WriteByte((byte)'\n');
    }

    public void OnDeadLetter(in DeadLetter letter)
    {
        using var line = new MemoryStream();
        using (var writer = new Utf8JsonWriter(line))
        {
            writer.WriteStartObject();
            writer.WriteString("query", letter.Query);
            writer.WriteString("reason", letter.Reason);
            if (letter.ArrivalMicroseconds != 0)
                writer.WriteString("arrival", DateTime.UnixEpoch.AddMicroseconds(letter.ArrivalMicroseconds));

            // The payload may be anything: as text where it is text, else in base64.
            if (System.Text.Unicode.Utf8.IsValid(letter.Payload.Span))
                writer.WriteString("payload", Encoding.UTF8.GetString(letter.Payload.Span));
            else
                writer.WriteBase64String("payloadBase64", letter.Payload.Span);
            writer.WriteEndObject();
        }

        line.WriteByte((byte)'\n');
        line.WriteTo(deadLetters);
    }

    public void Dispose()
    {
        foreach (var file in outputs)
            file.Dispose();
        deadLetters.Dispose();
    }
}
