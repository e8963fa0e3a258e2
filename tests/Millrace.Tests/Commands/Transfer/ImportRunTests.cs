using System.Text.Json;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;
using Millrace.Commands.Remote;
using Millrace.Commands.Transfer;
using Millrace.Testing;

namespace Millrace.Tests.Commands.Transfer;

public sealed class ImportRunTests
{
    [Fact]
    public async Task A_resumed_import_looks_through_all_pages_for_what_was_stored()
    {
        const string row = """{"id":"m","v":1}""";
        using var folder = new TempFolder();
        var posts = 0;
        await using var app = await ServeAsync(async context =>
        {
            if (context.Request.Path == "/healthz")
                return;
            if (context.Request.Method == "POST")
                posts++;
            var isLast = context.Request.Query["after"] == "0:5";
            await context.Response.WriteAsync(isLast ? $$"""{"readings":[{"data":{{row}}}],"next":null}""" : """{"readings":[],"next":"0:5"}""");
        });
        var server = app.Urls.First();
        await File.WriteAllTextAsync(folder["old.jsonl"], row + "\n");
        var state = new ImportState($"jsonl {row.Length + 1} id= time= {server}", 0, 1, 0, 0, 0, false);
        await File.WriteAllTextAsync(folder["old.jsonl.import"], JsonSerializer.Serialize(state));

        using var api = new ServerApi(server, null);
        var wish = new ImportWish(folder["old.jsonl"], "jsonl", server, new RowMapping(null, null), folder["old.jsonl.import"]);
        var output = new StringWriter();
        Assert.Equal(0, await new ImportRun(wish, api, output, TextWriter.Null).RunAsync(default));

        Assert.Equal(0, posts);
        Assert.StartsWith("1 readings imported, 0 bad", output.ToString(), StringComparison.Ordinal);
    }

    private static async Task<WebApplication> ServeAsync(RequestDelegate answer)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        var app = builder.Build();
        app.Run(answer);
        await app.StartAsync();
        return app;
    }
}
