using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using Millrace.StreamSql;

namespace Millrace.Commands.Query;

/// <summary>Writes rows to DIR/OUTPUT.jsonl and bad events to DIR/dead-letter.jsonl.</summary>
internal sealed class RowFiles : IQuerySink, IDisposable
{
    private const string DeadLetters = "dead-letter";

    /// <summary>Quotes, umlauts and the like as they are: people read these files.</summary>
    public static readonly JsonWriterOptions Readable = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    private readonly List<FileStream> outputs = [];
    private readonly FileStream deadLetters;

    public RowFiles(string folder, IReadOnlyList<string> names)
    {
        foreach (var name in names)
        {
            if (name.AsSpan().ContainsAny(Path.GetInvalidFileNameChars()) || name is "." or ".." or "")
                throw new CommandException($"the output {name} cannot be the name of a file: give it another name in INTO");
            if (name.Equals(DeadLetters, StringComparison.OrdinalIgnoreCase))
                throw new CommandException($"an output cannot be called {name}: {DeadLetters}.jsonl takes the bad events");
        }

        try
        {
            Directory.CreateDirectory(folder);
            foreach (var name in names)
                outputs.Add(Create(folder, name));
            deadLetters = Create(folder, DeadLetters);
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            outputs.ForEach(o => o.Dispose());
            var reason = File.Exists(folder) ? "it is a file" : failure.Message;
            throw new CommandException($"cannot write rows to the folder {folder}: {reason}", failure);
        }
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
        using (var writer = new Utf8JsonWriter(line, Readable))
        {
            writer.WriteStartObject();
            writer.WriteString("query", letter.Query);
            writer.WriteString("reason", letter.Reason);
            if (letter.ArrivalMicroseconds != 0 || letter.Payload.Length > 0)
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
