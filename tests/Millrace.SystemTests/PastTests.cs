using System.Text.Json;
using Millrace.Testing;

namespace Millrace.SystemTests;

/// <summary>What the built program answers about the past, before and after it was stopped.</summary>
public class PastTests
{
    [Fact]
    public async Task Readings_points_and_trends_are_the_same_after_a_stop_and_a_start()
    {
        using var folder = new TempFolder();
        var start = DateTimeOffset.UtcNow.AddHours(-30).ToUnixTimeSeconds();
        string[] questions =
        [
            $"/api/v1/devices/A/history?from={start * 1000}&limit=10000",
            $"/api/v1/devices/A/history?from={start * 1000}&interval=1h&aggregate=count,min,max,avg,first,last,sum,rise&tz=Asia/Kathmandu",
            $"/api/v1/trends?field=v&from={start * 1000}&interval=1m&aggregate=count,min,max,sum",
        ];
        List<string> before = [];
        await using (var server = await ServerProcess.StartAsync(folder["data"]))
        {
            var body = string.Concat(Enumerable.Range(0, 1000).Select(i => $"{{\"id\":\"{(i % 3 == 0 ? "B" : "A")}\",\"time\":{start + i * 7919 % 1000 * 100},\"v\":{i / 8.0}}}\n"));
            using var answer = await server.PostAsync("/api/v1/telemetry", body, "application/x-ndjson");
            Assert.True(answer.IsSuccessStatusCode);
            await Eventually.UntilAsync(() => CountAsync(server, questions[2]), count => count == 1000, "a thousand readings in the trend");
            foreach (var question in questions)
                before.Add(await server.Http.GetStringAsync(question));
            Assert.Equal(0, (await server.StopAsync()).ExitCode);
        }

        await using var again = await ServerProcess.StartAsync(folder["data"]);
        await Eventually.UntilAsync(() => CountAsync(again, questions[2]), count => count == 1000, "a thousand readings in the trend");

        Assert.Equal(666, JsonDocument.Parse(before[0]).RootElement.GetProperty("readings").GetArrayLength());
        for (var i = 0; i < questions.Length; i++)
        {
            // The archive gives a payload back equal as a JSON value; its members may stand in another order.
            var after = await again.Http.GetStringAsync(questions[i]);
            Assert.True(JsonElement.DeepEquals(JsonElement.Parse(before[i]), JsonElement.Parse(after)), $"{before[i]}\n{after}");
        }
    }

    private static async Task<double> CountAsync(ServerProcess server, string question)
    {
        var series = JsonDocument.Parse(await server.Http.GetStringAsync(question)).RootElement.GetProperty("series");
        return series.GetArrayLength() == 0 ? 0 : series[0].GetProperty("points").EnumerateArray().Sum(point => point.GetProperty("count").GetInt64());
    }
}
