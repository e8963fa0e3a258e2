using System.Text;
using System.Text.RegularExpressions;

namespace Millrace.Testing;

/// <summary>Parts of a mail as they were written.</summary>
public static class Mails
{
    public static string PlainPart(string mail) => Part(mail, "text/plain");

    public static string Part(string mail, string type)
    {
        var match = Regex.Match(mail.Replace("\r", ""), $"Content-Type: {Regex.Escape(type)}.*?\n\n(.*?)\n--", RegexOptions.Singleline);
        return Encoding.UTF8.GetString(Convert.FromBase64String(match.Groups[1].Value.Replace("\n", "")));
    }
}
