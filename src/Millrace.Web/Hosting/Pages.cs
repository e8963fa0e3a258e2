using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.StaticFiles;
using Microsoft.Extensions.FileProviders;
using Millrace.Listeners.Http;

namespace Millrace.Web.Hosting;

/// <summary>The dashboard's files, or a plain page that says they are not built; and the answer to paths nobody knows.</summary>
internal sealed class Pages
{
    private const string Policy =
        "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'";

    private const string Asked = "no-cache";
    private const string ForADay = "public, max-age=86400";
    private const string ForEver = "public, max-age=31536000, immutable";

    /// <summary>Where the build puts scripts and styles.</summary>
    private const string Built = "/assets";

    private static readonly (string Ending, string Encoding)[] Packings = [(".br", "br"), (".gz", "gzip")];

    private static readonly FileExtensionContentTypeProvider Types = new();

    private readonly string? _folder;

    public Pages(string folder)
    {
        _folder = File.Exists(Path.Combine(folder, "index.html")) ? folder : null;
    }

    public void Use(IApplicationBuilder app)
    {
        if (_folder is not null)
        {
            var files = new PhysicalFileProvider(_folder);
            app.Use(next => context => ServePackedAsync(context, next));
            app.UseStaticFiles(new StaticFileOptions
            {
                FileProvider = files,
                OnPrepareResponse = file => Protect(file.Context.Response, file.File.Name == "index.html" ? Asked : file.Context.Request.Path.StartsWithSegments(Built) ? ForEver : ForADay),
            });
        }

        app.Run(FallBackAsync);
    }

    private Task FallBackAsync(HttpContext context)
    {
        var request = context.Request;
        var path = request.Path;
        // A device's id may look like a file's name, so what a browser opens as a page is one by its Accept header.
        var isPage = (HttpMethods.IsGet(request.Method) || HttpMethods.IsHead(request.Method))
            && !path.StartsWithSegments("/api") && !path.StartsWithSegments(Built) && (!Path.HasExtension(path.Value) || WantsPage(request));
        if (!isPage)
        {
            return Problem.NotFoundAsync(
                context, $"There is no {request.Method} {path.Value}.", "The API is described at /openapi/v1.json and in docs/api.md.");
        }

        Protect(context.Response, Asked);
        context.Response.ContentType = "text/html; charset=utf-8";
        return _folder is not null
            ? SendPageAsync(context)
            : context.Response.WriteAsync(
                """
                <!doctype html><html lang="en"><meta charset="utf-8"><title>Millrace</title>
                <h1>Millrace is running</h1>
                <p>The dashboard is not part of this build. The API is: see <a href="/api/v1/status">status</a>,
                <a href="/api/v1/devices">devices</a>, <a href="/openapi/v1.json">the API document</a>
                and <a href="/metrics">metrics</a>.</p></html>
                """, context.RequestAborted);
    }

    /// <summary>Built scripts and styles lie there packed beside themselves; whoever takes that gets it.</summary>
    private Task ServePackedAsync(HttpContext context, RequestDelegate next)
    {
        var path = context.Request.Path;
        if (!HttpMethods.IsGet(context.Request.Method) || !path.StartsWithSegments(Built) || path.Value!.Contains("..", StringComparison.Ordinal)
            || PackedOf(context, path.Value[1..]) is not { } packed || !Types.TryGetContentType(path.Value, out var type))
        {
            return next(context);
        }

        Protect(context.Response, ForEver);
        context.Response.ContentType = type;
        return SendPackedAsync(context, packed);
    }

    private Task SendPageAsync(HttpContext context) => PackedOf(context, "index.html") is { } packed
        ? SendPackedAsync(context, packed)
        : context.Response.SendFileAsync(Path.Combine(_folder!, "index.html"));

    /// <summary>The best packing of a file that the browser takes, as its path and its name in the headers. Browsers take Brotli over TLS or from this machine only.</summary>
    private (string Path, string Encoding)? PackedOf(HttpContext context, string file)
    {
        var accepted = context.Request.Headers.AcceptEncoding.ToString();
        foreach (var (ending, encoding) in Packings)
        {
            var path = Path.Combine(_folder!, file + ending);
            if (accepted.Contains(encoding, StringComparison.Ordinal) && File.Exists(path))
                return (path, encoding);
        }

        return null;
    }

    private static Task SendPackedAsync(HttpContext context, (string Path, string Encoding) packed)
    {
        context.Response.Headers.ContentEncoding = packed.Encoding;
        context.Response.Headers.Vary = "Accept-Encoding";
        context.Response.ContentLength = new FileInfo(packed.Path).Length;
        return context.Response.SendFileAsync(packed.Path);
    }

    private static bool WantsPage(HttpRequest request) => request.Headers.Accept.ToString().Contains("text/html", StringComparison.Ordinal);

    /// <summary>Built files carry a hash in their names and may be kept for ever; the page that names them is asked for each time.</summary>
    private static void Protect(HttpResponse response, string cache)
    {
        var headers = response.Headers;
        headers.ContentSecurityPolicy = Policy;
        headers["Referrer-Policy"] = "no-referrer";
        headers["Cross-Origin-Opener-Policy"] = "same-origin";
        headers.CacheControl = cache;
    }
}
