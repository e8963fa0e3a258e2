using System.Net;
using System.Net.Http.Json;
using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using Millrace.Testing;

namespace Millrace.SystemTests;

/// <summary>What a user does with a running server, in a line each.</summary>
internal static class ServerCalls
{
    public static void SendUdp(this ServerProcess server, string datagram) => server.SendUdp(Encoding.UTF8.GetBytes(datagram));

    public static void SendUdp(this ServerProcess server, byte[] datagram)
    {
        using var socket = new UdpClient();
        socket.Send(datagram, server["udp"]);
    }

    /// <summary>Sends text over a new connection and returns all that comes back until the other side, or we after the expected lines, close.</summary>
    public static async Task<string[]> SendTcpAsync(this ServerProcess server, string text, int answers = 0)
    {
        using var client = new TcpClient();
        await client.ConnectAsync(server["tcp"]);
        using var reader = new StreamReader(client.GetStream());
        await client.GetStream().WriteAsync(Encoding.UTF8.GetBytes(text));
        client.Client.Shutdown(SocketShutdown.Send);
        List<string> lines = [];
        while (lines.Count < Math.Max(answers, 1) && await reader.ReadLineAsync().WaitAsync(TimeSpan.FromSeconds(30)) is { } line)
            lines.Add(line);
        return [.. lines];
    }

    public static async Task<HttpResponseMessage> PostAsync(this ServerProcess server, string path, string body, string contentType = "application/json")
    {
        using var content = new StringContent(body, Encoding.UTF8);
        content.Headers.ContentType = new(contentType);
        return await server.Http.PostAsync(path, content);
    }

    /// <summary>The device's newest reading, once there is one that fits.</summary>
    public static async Task<JsonElement> LatestAsync(this ServerProcess server, string id, Func<JsonElement, bool>? fits = null)
    {
        var text = await Eventually.GetAsync(
            async () =>
            {
                using var response = await server.Http.GetAsync($"/api/v1/devices/{Uri.EscapeDataString(id)}/latest");
                if (response.StatusCode == HttpStatusCode.NotFound)
                    return null;
                var body = await response.Content.ReadAsStringAsync();
                Assert.True(response.IsSuccessStatusCode, body);
                return fits is null || fits(JsonElement.Parse(body)) ? body : null;
            },
            $"a latest reading of {id}");
        return JsonElement.Parse(text);
    }

    public static async Task<double> LatestValueAsync(this ServerProcess server, string id) =>
        (await server.LatestAsync(id)).GetProperty("data").GetProperty("value").GetDouble();

    /// <summary>The lines of <c>millrace log dump</c> of a data folder.</summary>
    public static async Task<List<JsonElement>> DumpAsync(string data)
    {
        var dump = await ServerProcess.RunAsync("log", "dump", "--data", data);
        Assert.True(dump.ExitCode == 0, dump.Errors);
        return [.. dump.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => JsonElement.Parse(line))];
    }

    public static async Task<JsonElement> GetJsonAsync(this ServerProcess server, string path) => JsonElement.Parse(await server.Http.GetStringAsync(path));

    /// <summary>Makes or edits a job.</summary>
    public static async Task PutJobAsync(this ServerProcess server, string name, object definition)
    {
        using var answer = await server.Http.PutAsJsonAsync($"/api/v1/jobs/{name}", definition);
        Assert.True(answer.IsSuccessStatusCode, await answer.Content.ReadAsStringAsync());
    }

    public static Task<JsonElement> JobStatusAsync(this ServerProcess server, string name) => server.GetJsonAsync($"/api/v1/jobs/{name}/status");

    /// <summary>Waits until the job has read everything and its outputs, notifications included, have delivered it.</summary>
    /// <param name="rowsIn">Readings it must have taken; as many rows emitted with <paramref name="rowsOut"/>.</param>
    public static Task<JsonElement> CaughtUpAsync(this ServerProcess server, string name, long rowsIn = 0, long rowsOut = 0) => Eventually.UntilAsync(
        () => server.JobStatusAsync(name),
        status => status.GetProperty("state").GetString() == "running" && status.GetProperty("lagReadings").GetInt64() == 0
            && status.GetProperty("rowsIn").GetInt64() >= rowsIn && status.GetProperty("rowsOut").GetInt64() >= rowsOut
            && status.GetProperty("outputs").EnumerateArray().All(o => !o.TryGetProperty("pendingRows", out var rows) || rows.GetInt64() == 0),
        $"job {name} caught up", TimeSpan.FromMinutes(2));
}
