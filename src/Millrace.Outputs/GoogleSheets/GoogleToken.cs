using System.Buffers.Text;
using System.Net.Http.Headers;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;

namespace Millrace.Outputs.GoogleSheets;

/// <summary>
/// Access tokens for the Sheets service: a signed JWT of a service account, or a user's refresh token. Renewed five minutes before
/// the end. One user at a time.
/// </summary>
internal sealed class GoogleToken(SheetsOptions options, HttpClient client, TimeProvider time)
{
    private const string Scope = "https://www.googleapis.com/auth/spreadsheets";

    /// <summary>To make a file in a folder that a person has shared with the account.</summary>
    private const string DriveScope = " https://www.googleapis.com/auth/drive";
    private const string DefaultTokenUri = "https://oauth2.googleapis.com/token";
    private static readonly TimeSpan RenewBefore = TimeSpan.FromMinutes(5);

    private string? _token;
    private DateTimeOffset _until;

    /// <summary>Forgets the token: the service did not accept it.</summary>
    public void Forget() => _token = null;

    public async ValueTask<AuthenticationHeaderValue> GetAsync(CancellationToken cancel)
    {
        if (_token is null || time.GetUtcNow() >= _until - RenewBefore)
            await RenewAsync(cancel);
        return new AuthenticationHeaderValue("Bearer", _token);
    }

    private async ValueTask RenewAsync(CancellationToken cancel)
    {
        var (uri, form) = Grant();
        using var content = new FormUrlEncodedContent(form);
        using var answer = await client.PostAsync(uri, content, cancel);
        var text = await answer.Content.ReadAsStringAsync(cancel);
        if (!answer.IsSuccessStatusCode)
        {
            var refused = (int)answer.StatusCode is >= 400 and < 500 and not 429;
            throw new OutputException(
                $"{uri.Host} gave no token ({(int)answer.StatusCode}): {Reason(text)}; check {options.Credentials}", refused: refused);
        }

        using var document = JsonDocument.Parse(text);
        _token = document.RootElement.GetProperty("access_token").GetString();
        _until = time.GetUtcNow().AddSeconds(document.RootElement.TryGetProperty("expires_in", out var s) ? s.GetDouble() : 3600);
    }

    private (Uri Uri, Dictionary<string, string> Form) Grant()
    {
        try
        {
            using var key = JsonDocument.Parse(File.ReadAllBytes(options.Credentials));
            var root = key.RootElement;
            string Text(string name) => root.TryGetProperty(name, out var value) && value.GetString() is { Length: > 0 } text
                ? text
                : throw new OutputException($"{options.Credentials} has no \"{name}\"", refused: true);

            if (root.TryGetProperty("refresh_token", out _))
            {
                return (options.TokenUri ?? new Uri(DefaultTokenUri), new()
                {
                    ["grant_type"] = "refresh_token",
                    ["refresh_token"] = Text("refresh_token"),
                    ["client_id"] = Text("client_id"),
                    ["client_secret"] = Text("client_secret"),
                });
            }

            var audience = root.TryGetProperty("token_uri", out var given) ? given.GetString()! : DefaultTokenUri;
            return (options.TokenUri ?? new Uri(audience), new()
            {
                ["grant_type"] = "urn:ietf:params:oauth:grant-type:jwt-bearer",
                ["assertion"] = Jwt(Text("client_email"), Text("private_key"), audience),
            });
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or JsonException or CryptographicException or ArgumentException)
        {
            throw new OutputException($"the credentials {options.Credentials} cannot be used: {e.Message}", e, refused: true);
        }
    }

    private string Jwt(string account, string privateKey, string audience)
    {
        var now = time.GetUtcNow().ToUnixTimeSeconds();
        var header = Base64Url.EncodeToString("""{"alg":"RS256","typ":"JWT"}"""u8);
        var claims = Base64Url.EncodeToString(JsonSerializer.SerializeToUtf8Bytes(new Dictionary<string, object>
        {
            ["iss"] = account,
            ["scope"] = options.Folder is null ? Scope : Scope + DriveScope,
            ["aud"] = audience,
            ["iat"] = now,
            ["exp"] = now + 3600,
        }));
        using var rsa = RSA.Create();
        rsa.ImportFromPem(privateKey);
        var signature = rsa.SignData(Encoding.ASCII.GetBytes($"{header}.{claims}"), HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1);
        return $"{header}.{claims}.{Base64Url.EncodeToString(signature)}";
    }

    private static string Reason(string text)
    {
        try
        {
            using var document = JsonDocument.Parse(text);
            return document.RootElement.TryGetProperty("error_description", out var said) ? said.GetString() ?? "" :
                document.RootElement.TryGetProperty("error", out var error) ? error.ToString() : "no reason given";
        }
        catch (JsonException)
        {
            return "no reason given";
        }
    }
}
