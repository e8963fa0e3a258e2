using System.Buffers.Text;
using System.Security.Cryptography;
using System.Text;

namespace Millrace.Registry;

/// <summary>What a token looks like: a prefix that says what it is, then 192 random bits. Only its SHA-256 is stored.</summary>
internal static class TokenText
{
    public const string DevicePrefix = "mrd_";
    public const string ApiPrefix = "mra_";

    /// <summary>No token of ours is longer; longer texts are not even hashed.</summary>
    public const int LengthMax = 64;

    private const int SecretBytes = 24;

    public static (string Text, byte[] Hash) Create(string prefix)
    {
        Span<byte> secret = stackalloc byte[SecretBytes];
        RandomNumberGenerator.Fill(secret);
        var text = prefix + Base64Url.EncodeToString(secret);
        return (text, SHA256.HashData(Encoding.UTF8.GetBytes(text)));
    }

    /// <summary>The hash of a text from outside; false when it cannot be a token.</summary>
    public static bool TryHash(ReadOnlySpan<char> text, Span<byte> hash)
    {
        if (text.Length is 0 or > LengthMax || !Ascii.IsValid(text))
            return false;
        Span<byte> bytes = stackalloc byte[LengthMax];
        var length = Encoding.ASCII.GetBytes(text, bytes);
        SHA256.HashData(bytes[..length], hash);
        return true;
    }
}
