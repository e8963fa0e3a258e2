using System.Globalization;
using System.Text.Json;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Millrace.Core;
using Millrace.Listeners.Http;
using Millrace.Web.Hosting;
using Millrace.Web.Security;

namespace Millrace.Web.Api;

/// <summary>API tokens. A token's text is shown once, when it is made.</summary>
internal sealed class TokensApi(ServerState state)
{
    private const int NameMax = 100;

    public void Map(IEndpointRouteBuilder routes)
    {
        routes.Map("GET", "/api/v1/tokens", ListAsync, new ApiOperation("Access", "List API tokens", Role.Admin)
        {
            Answer = "{\"tokens\":[{\"id\",\"name\",\"role\",\"createdAt\",\"lastUsedAt\"}]}",
        });
        routes.Map("POST", "/api/v1/tokens", CreateAsync, new ApiOperation("Access", "Make an API token", Role.Admin)
        {
            Body = BodyKind.Json,
            Status = StatusCodes.Status201Created,
            Answer = "The token with its text, shown this once.",
            Example = """{"name":"control room","role":"read"}""",
        });
        routes.Map("DELETE", "/api/v1/tokens/{token}", RevokeAsync, new ApiOperation("Access", "Revoke an API token", Role.Admin) { Status = StatusCodes.Status204NoContent });
        routes.Map("DELETE", "/api/v1/tokens", RevokeAsync, new ApiOperation("Access", "Revoke an API token", Role.Admin)
        {
            Query = [new("id", "The token's number")],
            Status = StatusCodes.Status204NoContent,
        });
    }

    private Task ListAsync(HttpContext context)
    {
        var tokens = state.Parts.Tokens.List(context.Who().Tenant);
        return Answer.WriteAsync(context, json =>
        {
            json.WriteStartArray("tokens"u8);
            foreach (var token in tokens)
            {
                json.WriteStartObject();
                Write(json, token);
                json.WriteEndObject();
            }

            json.WriteEndArray();
        });
    }

    private async Task CreateAsync(HttpContext context)
    {
        using var body = await JsonBody.ReadObjectAsync(context);
        if (body is null)
            return;
        if (!body.RootElement.TryText("name", out var name) || name is not { Length: > 0 and <= NameMax })
        {
            await Problem.BadRequestAsync(context, $"'name' has to be a string of 1 to {NameMax} characters.");
            return;
        }

        if (!body.RootElement.TryText("role", out var text) || RoleOf(text) is not { } role)
        {
            await Problem.BadRequestAsync(context, "'role' has to be read, operate or admin.");
            return;
        }

        var who = context.Who();
        var (info, token) = state.Parts.Tokens.Create(name, role, who.Tenant);
        state.Parts.Tokens.Audit(who, "token.create", $"{info.Id} {name} ({text})");
        await Answer.WriteAsync(
            context, json =>
            {
                Write(json, info);
                json.WriteString("token"u8, token);
            }, StatusCodes.Status201Created);
    }

    private Task RevokeAsync(HttpContext context)
    {
        var text = (string?)context.GetRouteValue("token") ?? context.Query("id");
        if (!long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var id))
            return Problem.BadRequestAsync(context, "The token's number is missing.", "DELETE /api/v1/tokens/{id}; the list has the numbers.");
        var who = context.Who();
        if (!state.Parts.Tokens.Revoke(who.Tenant, id))
            return Problem.NotFoundAsync(context, $"There is no token {id}.");
        state.Parts.Tokens.Audit(who, "token.revoke", text!);
        return Answer.NothingAsync(context);
    }

    private static void Write(Utf8JsonWriter json, TokenInfo token)
    {
        json.WriteNumber("id"u8, token.Id);
        json.WriteString("name"u8, token.Name);
        json.WriteString("role"u8, token.Role.ToString().ToLowerInvariant());
        json.WriteTime("createdAt"u8, token.CreatedAt);
        if (token.LastUsedAt is { } used)
            json.WriteTime("lastUsedAt"u8, used);
        else
            json.WriteNull("lastUsedAt"u8);
    }

    private static Role? RoleOf(string? text) => text switch
    {
        "read" => Role.Read,
        "operate" => Role.Operate,
        "admin" => Role.Admin,
        _ => null,
    };
}
