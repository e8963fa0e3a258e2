using Microsoft.AspNetCore.Http;
using Millrace.Core;

namespace Millrace.Web.Security;

/// <summary>Carries who sends a request from the guard to the route.</summary>
internal static class Caller
{
    private static readonly object Key = new();

    public static void Set(HttpContext context, Principal who) => context.Items[Key] = who;

    /// <summary>Who sends the request. Only routes the guard let through may ask.</summary>
    public static Principal Who(this HttpContext context) =>
        context.Items[Key] as Principal ?? throw new InvalidOperationException($"{context.Request.Path} was reached without the guard.");
}
