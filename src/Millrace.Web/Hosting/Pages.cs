using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.FileProviders;
using Millrace.Listeners.Http;

namespace Millrace.Web.Hosting;

/// <summary>The dashboard's files, or a plain page that says they are not built; and the answer to paths nobody knows.</summary>
internal sealed class Pages
{
    private const string Policy =
        "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'";

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
            app.UseStaticFiles(new StaticFileOptions
            {
                FileProvider = files,
                OnPrepareResponse = file => Protect(file.Context.Response, file.File.Name == "index.html"),
            });
        }

        app.Run(FallBackAsync);
    }

    private Task FallBackAsync(HttpContext context)
    {
        var request = context.Request;
        var path = request.Path;
        var isPage = (HttpMethods.IsGet(request.Method) || HttpMethods.IsHead(request.Method))
            && !path.StartsWithSegments("/api") && !Path.HasExtension(path.Value);
        if (!isPage)
        {
            return Problem.NotFoundAsync(
                context, $"There is no {request.Method} {path.Value}.", "The API is described at /openapi/v1.json and in docs/api.md.");
        }

        Protect(context.Response, isEntry: true);
        context.Response.ContentType = "text/html; charset=utf-8";
        return _folder is not null
            ? context.Response.SendFileAsync(Path.Combine(_folder, "index.html"))
            : context.Response.WriteAsync(
                """
                <!doctype html><html lang="en"><meta charset="utf-8"><title>Millrace</title>
                <h1>Millrace is running</h1>
                <p>The dashboard is not part of this build. The API is: see <a href="/api/v1/status">status</a>,
                <a href="/api/v1/devices">devices</a>, <a href="/openapi/v1.json">the API document</a>
                and <a href="/metrics">metrics</a>.</p></html>
                """, context.RequestAborted);
    }

    /// <summary>Built files carry a hash in their names and may be kept; the page that names them may not.</summary>
    private static void Protect(HttpResponse response, bool isEntry)
    {
        var headers = response.Headers;
        headers.ContentSecurityPolicy = Policy;
        headers["Referrer-Policy"] = "no-referrer";
        headers["Cross-Origin-Opener-Policy"] = "same-origin";
        headers.CacheControl = isEntry ? "no-cache" : "public, max-age=86400";
    }
}
