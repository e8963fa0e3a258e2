using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;
using System.Text.RegularExpressions;
using Millrace.Testing;

namespace Millrace.Load.Scenarios;

/// <summary>
/// The consumers of the middleware: ApacheBench with 500 connections at once as its users ran it, and wrk with kept-alive
/// connections, beside nginx serving a file of the same size. The first burst after the start is part of the report.
/// </summary>
internal static partial class Reads
{
    private const string Device = "356938035643809";

    public static async Task RunAsync(Bench bench)
    {
        List<double> firsts = [], ab = [], abPeer = [], wrk = [], wrkPeer = [], abP99 = [], wrkP99 = [];
        var size = 0;
        for (var round = 0; round < bench.Options.Rounds; round++)
        {
            await using var server = await bench.StartServerAsync();
            var url = $"http://{server["middleware"]}/get_data/{Device}";
            size = await StoreAsync(server, url);
            await using var nginx = await Nginx.StartAsync(Path.Combine(bench.Folder, $"nginx-{round}"), $"get_data/{Device}", size);

            firsts.Add(await AbAsync(url, abP99));
            await AbAsync(nginx.Url, []);
            for (var i = 0; i < 3; i++)
            {
                abPeer.Add(await AbAsync(nginx.Url, []));
                ab.Add(await AbAsync(url, abP99));
            }

            var seconds = bench.Quick ? 2 : 5;
            for (var i = 0; i < 2; i++)
            {
                wrkPeer.Add(await WrkAsync(nginx.Url, seconds, []));
                wrk.Add(await WrkAsync(url, seconds, wrkP99));
            }

            Bench.Note($"round {round + 1}: first burst {firsts[^1]:N0}/s, ab {ab[^1]:N0}/s beside {abPeer[^1]:N0}/s, wrk {wrk[^1]:N0}/s beside {wrkPeer[^1]:N0}/s");
        }

        string Ratio(List<double> own, List<double> peer) => Bench.N(Bench.Median(own) / Bench.Median(peer), "0.00");
        bench.Table(
            $"GET /get_data/{{id}}, {size} bytes, no failed request",
            ["what", "server, requests/s", "nginx static, requests/s", "ratio", "p99, ms"],
            [
                ["`ab -n 3000 -c 500`, first burst after the start", Bench.N(Bench.Median(firsts)), Bench.N(Bench.Median(abPeer)), Ratio(firsts, abPeer), ""],
                ["`ab -n 3000 -c 500`", Bench.N(Bench.Median(ab)), Bench.N(Bench.Median(abPeer)), Ratio(ab, abPeer), Bench.N(Bench.Median(abP99), "0")],
                ["`wrk -t1 -c64`, kept alive", Bench.N(Bench.Median(wrk)), Bench.N(Bench.Median(wrkPeer)), Ratio(wrk, wrkPeer), Bench.N(Bench.Median(wrkP99), "0.0")],
            ]);
    }

    /// <returns>The size of the body that reading it answers.</returns>
    private static async Task<int> StoreAsync(ServerProcess server, string url)
    {
        using var content = new StringContent($$"""{"id":{{Device}},"location":[56.34,-2.79],"data":{"temperature":21.5} }""", Encoding.UTF8, "application/json");
        using var stored = await server.Http.PostAsync($"http://{server["middleware"]}/heartbeat", content);
        stored.EnsureSuccessStatusCode();
        for (var tries = 0; tries < 200; tries++)
        {
            using var answer = await server.Http.GetAsync(url);
            if (answer.StatusCode == HttpStatusCode.OK)
                return (await answer.Content.ReadAsByteArrayAsync()).Length;
            await Task.Delay(50); // Until the first reading shows; at most 200 times.
        }

        throw new InvalidDataException("the heartbeat does not appear at /get_data");
    }

    private static async Task<double> AbAsync(string url, List<double> p99)
    {
        var report = await Bench.RunAsync("ab", "-q", "-n", "3000", "-c", "500", url);
        if (!FailedWord().IsMatch(report) || report.Contains("Non-2xx", StringComparison.Ordinal))
            throw new InvalidDataException($"requests failed:\n{report}");
        p99.Add(double.Parse(AbP99Word().Match(report).Groups[1].Value, CultureInfo.InvariantCulture));
        return double.Parse(AbRateWord().Match(report).Groups[1].Value, CultureInfo.InvariantCulture);
    }

    private static async Task<double> WrkAsync(string url, int seconds, List<double> p99)
    {
        var report = await Bench.RunAsync("wrk", "-t", "1", "-c", "64", "-d", $"{seconds}s", "--latency", url);
        if (report.Contains("Non-2xx", StringComparison.Ordinal) || report.Contains("Socket errors", StringComparison.Ordinal))
            throw new InvalidDataException($"requests failed:\n{report}");
        p99.Add(HttpPosts.Milliseconds(HttpPosts.P99Word().Match(report).Groups[1].Value));
        return double.Parse(HttpPosts.RequestsWord().Match(report).Groups[1].Value, CultureInfo.InvariantCulture);
    }

    [GeneratedRegex(@"Failed requests:\s+0\b")]
    private static partial Regex FailedWord();

    [GeneratedRegex(@"Requests per second:\s+([\d.]+)")]
    private static partial Regex AbRateWord();

    [GeneratedRegex(@"99%\s+(\d+)")]
    private static partial Regex AbP99Word();

    /// <summary>nginx with one file, in a folder of its own.</summary>
    private sealed class Nginx(Process process, int port, string path) : IAsyncDisposable
    {
        public string Url => $"http://127.0.0.1:{port}/{path}";

        public static async Task<Nginx> StartAsync(string folder, string path, int size)
        {
            using var listener = new TcpListener(IPAddress.Loopback, 0);
            listener.Start();
            var port = ((IPEndPoint)listener.LocalEndpoint).Port;
            listener.Stop();
            var file = Path.Combine(folder, "files", path);
            Directory.CreateDirectory(Path.GetDirectoryName(file)!);
            await File.WriteAllTextAsync(file, new string('x', size));
            // The account that nginx changes to must be able to read the file.
            await Bench.RunAsync("chmod", "-R", "a+rX", Path.GetDirectoryName(folder)!);
            var configuration = Path.Combine(folder, "nginx.conf");
            await File.WriteAllTextAsync(configuration, $$"""
                daemon off; pid {{folder}}/pid; error_log {{folder}}/error.log; worker_processes auto;
                events { worker_connections 2048; }
                http {
                  access_log off; sendfile on; tcp_nopush on; keepalive_requests 100000000; default_type application/json;
                  open_file_cache max=100; client_body_temp_path {{folder}}; proxy_temp_path {{folder}}; fastcgi_temp_path {{folder}};
                  uwsgi_temp_path {{folder}}; scgi_temp_path {{folder}};
                  server { listen 127.0.0.1:{{port}} backlog=1024; root {{folder}}/files; }
                }
                """);
            var nginx = new Nginx(Bench.Start([], File.Exists("/usr/sbin/nginx") ? "/usr/sbin/nginx" : "nginx", "-c", configuration), port, path);
            for (var tries = 0; tries < 100; tries++)
            {
                try
                {
                    using var probe = new TcpClient();
                    await probe.ConnectAsync(IPAddress.Loopback, port);
                    return nginx;
                }
                catch (SocketException)
                {
                    await Task.Delay(50); // Until nginx listens; it has no ready line.
                }
            }

            throw new InvalidOperationException("nginx does not start");
        }

        public async ValueTask DisposeAsync()
        {
            using var stop = Process.Start("kill", ["-TERM", process.Id.ToString(CultureInfo.InvariantCulture)]);
            await process.WaitForExitAsync();
            process.Dispose();
        }
    }
}
