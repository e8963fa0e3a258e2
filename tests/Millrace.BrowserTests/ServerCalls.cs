using System.Net.Http.Json;
using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using Millrace.Testing;

namespace Millrace.BrowserTests;

/// <summary>What is done to the server while a browser looks.</summary>
internal static class ServerCalls
{
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(50);

    public static async Task PostAsync(this ServerProcess server, string path, string body, string type = "application/json")
    {
        using var content = new StringContent(body, Encoding.UTF8, type);
        using var response = await server.Http.PostAsync(path, content);
        response.EnsureSuccessStatusCode();
    }

    public static async Task PutAsync(this ServerProcess server, string path, object body)
    {
        using var response = await server.Http.PutAsJsonAsync(path, body);
        if (!response.IsSuccessStatusCode)
            throw new InvalidOperationException(await response.Content.ReadAsStringAsync());
    }

    public static async Task<JsonElement> GetAsync(this ServerProcess server, string path) => JsonElement.Parse(await server.Http.GetStringAsync(path));

    /// <summary>Lines of ID:value in one datagram.</summary>
    public static void SendReadings(this ServerProcess server, params string[] lines)
    {
        using var socket = new UdpClient();
        socket.Send(Encoding.UTF8.GetBytes(string.Join('\n', lines)), server["udp"]);
    }

    public static async Task<(long Id, string Text)> MakeTokenAsync(this ServerProcess server, string name, string role)
    {
        using var response = await server.Http.PostAsJsonAsync("/api/v1/tokens", new { name, role });
        var made = JsonElement.Parse(await response.Content.ReadAsStringAsync());
        return (made.GetProperty("id").GetInt64(), made.GetProperty("token").GetString()!);
    }

    /// <summary>Waits for the server to say something, within a deadline that no healthy machine needs.</summary>
    public static async Task UntilAsync(this ServerProcess server, string path, Func<JsonElement, bool> isGood)
    {
        using var deadline = new CancellationTokenSource(Deadline);
        while (true)
        {
            var seen = await server.GetAsync(path);
            if (isGood(seen))
                return;
            if (deadline.IsCancellationRequested)
                throw new TimeoutException($"{path} never was as wanted; last: {seen}");
            await Task.Delay(Pause, CancellationToken.None);
        }
    }
}
