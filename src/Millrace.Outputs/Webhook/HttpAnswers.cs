using System.Net;

namespace Millrace.Outputs.Webhook;

/// <summary>What an HTTP answer means for a batch.</summary>
internal static class HttpAnswers
{
    /// <summary>The failure an answer stands for, or null when the batch was taken.</summary>
    public static async ValueTask<OutputException?> FailureAsync(
        HttpResponseMessage answer, string target, DateTimeOffset now, CancellationToken cancel)
    {
        if (answer.IsSuccessStatusCode)
            return null;
        var code = (int)answer.StatusCode;
        var retryAfter = answer.Headers.RetryAfter is { } header
            ? header.Delta ?? (header.Date - now)
            : null;
        var passing = code >= 500 || answer.StatusCode is HttpStatusCode.RequestTimeout or HttpStatusCode.TooManyRequests or (HttpStatusCode)425;
        if (code is >= 300 and < 400)
            return new OutputException($"{target} redirects to {answer.Headers.Location}; name the final address in the job", refused: true);
        var text = await ExcerptAsync(answer, cancel);
        return new OutputException(
            $"{target} answered {code} {answer.ReasonPhrase}{text}", refused: !passing, retryAfter: retryAfter);
    }

    private static async ValueTask<string> ExcerptAsync(HttpResponseMessage answer, CancellationToken cancel)
    {
        try
        {
            var text = await answer.Content.ReadAsStringAsync(cancel);
            text = new string([.. text.Where(c => !char.IsControl(c)).Take(200)]).Trim();
            return text.Length == 0 ? "" : ": " + text;
        }
        catch (HttpRequestException)
        {
            return "";
        }
    }
}
