using System.Text;

namespace Millrace.Outputs.Email;

/// <summary>One message with a plain and an HTML part.</summary>
/// <param name="MessageId">Without angle brackets; the same for every attempt, so that a mailbox can tell repeats.</param>
public sealed record Mail(
    string From, IReadOnlyList<string> To, string Subject, string Text, string Html, string MessageId, DateTimeOffset Date)
{
    private const int LineBytesMax = 76;

    /// <summary>The message as it goes over the wire, lines ended by CRLF, not yet dot-stuffed. Pure ASCII but for international addresses.</summary>
    public byte[] ToBytes()
    {
        var boundary = "=_" + Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData(Encoding.UTF8.GetBytes(MessageId)))[..32];
        var text = new StringBuilder();
        Header(text, "Date", Date.ToString("ddd, dd MMM yyyy HH:mm:ss '+0000'", System.Globalization.CultureInfo.InvariantCulture));
        Header(text, "From", From);
        Header(text, "To", string.Join(",\r\n ", To));
        Header(text, "Subject", EncodeText(Subject));
        Header(text, "Message-ID", $"<{MessageId}>");
        Header(text, "Auto-Submitted", "auto-generated");
        Header(text, "MIME-Version", "1.0");
        Header(text, "Content-Type", $"multipart/alternative; boundary=\"{boundary}\"");
        text.Append("\r\n");
        Part(text, boundary, "text/plain", Text);
        Part(text, boundary, "text/html", Html);
        text.Append($"--{boundary}--\r\n");
        return Encoding.UTF8.GetBytes(text.ToString());
    }

    /// <summary>
    /// A header text: as it is when it is short printable ASCII, else encoded words (RFC 2047). Control characters become
    /// blanks first, so nothing in it can begin a header of its own.
    /// </summary>
    internal static string EncodeText(string value)
    {
        var clean = new string([.. value.Select(c => char.IsControl(c) ? ' ' : c)]).Trim();
        if (clean.Length <= 66 && clean.All(c => c is >= ' ' and <= '~') && !clean.Contains("=?", StringComparison.Ordinal))
            return clean;
        List<string> words = [];
        var chunk = new StringBuilder();
        var bytes = 0;
        foreach (var rune in clean.EnumerateRunes())
        {
            // 45 bytes become 60 characters of base64, which with the frame of a word stays below 75.
            if (bytes + rune.Utf8SequenceLength > 45)
                Close();
            chunk.Append(rune.ToString());
            bytes += rune.Utf8SequenceLength;
        }

        Close();
        return string.Join("\r\n ", words);

        void Close()
        {
            if (bytes > 0)
                words.Add($"=?utf-8?B?{Convert.ToBase64String(Encoding.UTF8.GetBytes(chunk.ToString()))}?=");
            chunk.Clear();
            bytes = 0;
        }
    }

    private static void Header(StringBuilder text, string name, string value) => text.Append(name).Append(": ").Append(value).Append("\r\n");

    private static void Part(StringBuilder text, string boundary, string type, string content)
    {
        text.Append($"--{boundary}\r\n");
        Header(text, "Content-Type", type + "; charset=utf-8");
        Header(text, "Content-Transfer-Encoding", "base64");
        text.Append("\r\n");
        var encoded = Convert.ToBase64String(Encoding.UTF8.GetBytes(content));
        for (var i = 0; i < encoded.Length; i += LineBytesMax)
            text.Append(encoded, i, Math.Min(LineBytesMax, encoded.Length - i)).Append("\r\n");
    }
}
