using System.Buffers;
using System.Net.Http.Headers;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;

namespace Millrace.Outputs.Webhook;

/// <summary>Rows as signed JSON batches by HTTP POST. The receiver tells repeats by the idempotency key.</summary>
public sealed class WebhookOutput(
    OutputSource source, WebhookOptions options, HttpClient client, CircuitBreaker circuits, TimeProvider time) : IOutput
{
    public const string SignatureHeader = "Millrace-Signature";
    public const string KeyHeader = "Idempotency-Key";

    private readonly string _target = options.Url.GetLeftPart(UriPartial.Authority);

    public string Kind => "webhook";

    public bool KeepsBooks => false;

    public OutputBatching Batching => new(options.BatchRows, 1 << 20, options.Linger);

    /// <summary>The header value: <c>t=SECONDS,v1=HEX</c>, HMAC-SHA256 of <c>SECONDS.BODY</c> with the secret.</summary>
    public static string Sign(string secret, long unixSeconds, ReadOnlySpan<byte> body)
    {
        using var hash = IncrementalHash.CreateHMAC(HashAlgorithmName.SHA256, Encoding.UTF8.GetBytes(secret));
        hash.AppendData(Encoding.ASCII.GetBytes($"{unixSeconds}."));
        hash.AppendData(body);
        return $"t={unixSeconds},v1={Convert.ToHexStringLower(hash.GetHashAndReset())}";
    }

    public ValueTask<RowId> OpenAsync(CancellationToken cancel)
    {
        if (options.Url.Scheme is not ("http" or "https"))
            throw new OutputException($"{options.Url} is not an http or https address", refused: true);
        return ValueTask.FromResult(RowId.None);
    }

    public async ValueTask AppendAsync(IReadOnlyList<OutputRow> rows, CancellationToken cancel)
    {
        circuits.Enter(_target);
        var failure = await PostAsync(rows, cancel);
        if (failure is null)
        {
            circuits.Succeeded(_target);
            return;
        }

        // A refusal is about this request; only a target that does not work opens the circuit for others.
        if (!failure.Refused)
            circuits.Failed(_target);
        throw failure;
    }

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;

    private async ValueTask<OutputException?> PostAsync(IReadOnlyList<OutputRow> rows, CancellationToken cancel)
    {
        var body = Body(rows);
        using var request = new HttpRequestMessage(HttpMethod.Post, options.Url) { Content = new ByteArrayContent(body) };
        request.Content.Headers.ContentType = new MediaTypeHeaderValue("application/json");
        request.Headers.TryAddWithoutValidation("User-Agent", "Millrace");
        request.Headers.TryAddWithoutValidation(
            KeyHeader, $"{Uri.EscapeDataString(source.Job)}/{rows[0].Id.Version}/{Uri.EscapeDataString(source.Output)}/{rows[0].Id.Row}-{rows[^1].Id.Row}");
        if (options.Secret is { Length: > 0 } secret)
            request.Headers.TryAddWithoutValidation(SignatureHeader, Sign(secret, time.GetUtcNow().ToUnixTimeSeconds(), body));

        using var limit = new CancellationTokenSource(options.Timeout, time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(cancel, limit.Token);
        try
        {
            using var answer = await client.SendAsync(request, either.Token);
            return await HttpAnswers.FailureAsync(answer, _target, time.GetUtcNow(), either.Token);
        }
        catch (OperationCanceledException) when (!cancel.IsCancellationRequested)
        {
            return new OutputException($"{_target} did not answer within {options.Timeout.TotalSeconds:F0} s");
        }
        catch (Exception e) when (e is HttpRequestException or IOException)
        {
            return new OutputException($"{_target} cannot be reached: {Innermost(e)}", e);
        }
    }

    private static string Innermost(Exception e) => e.InnerException is null ? e.Message : Innermost(e.InnerException);

    private byte[] Body(IReadOnlyList<OutputRow> rows)
    {
        var buffer = new ArrayBufferWriter<byte>(256 + rows.Sum(r => r.Json.Length + 1));
        using (var json = new Utf8JsonWriter(buffer, new JsonWriterOptions { SkipValidation = true }))
        {
            json.WriteStartObject();
            json.WriteString("job", source.Job);
            json.WriteNumber("version", rows[0].Id.Version);
            json.WriteString("output", source.Output);
            json.WriteNumber("first", rows[0].Id.Row);
            json.WriteNumber("last", rows[^1].Id.Row);
            json.WriteStartArray("rows");
            foreach (var row in rows)
                json.WriteRawValue(row.Json.Span, skipInputValidation: true);
            json.WriteEndArray();
            json.WriteEndObject();
        }

        return buffer.WrittenSpan.ToArray();
    }
}
