using System.Text.Json.Nodes;
using Millrace.Jobs.Definitions;

namespace Millrace.Jobs;

/// <summary>Hides what a definition keeps secret when it is shown, and puts it back when the shown text is sent again.</summary>
public static class JobSecrets
{
    public const string Mask = "***";

    private static readonly string[] Secret = ["secret", "connection"];

    /// <summary>By these an entry of a list is known again, wherever it stands now.</summary>
    private static readonly string[] Identity = ["kind", "url", "to", "spreadsheet"];

    /// <summary>A copy with every secret replaced by <see cref="Mask"/>.</summary>
    /// <param name="withAddresses">False: for those who only look. The path of a web address is hidden, too, since with many services it is the secret.</param>
    public static JsonObject Masked(JsonObject definition, bool withAddresses = true)
    {
        ArgumentNullException.ThrowIfNull(definition);
        var copy = (JsonObject)definition.DeepClone();
        Walk(copy, null, "", (shown, name, _, _) => shown[name] = Mask);
        if (!withAddresses)
            HideAddresses(copy["outputs"]);
        return copy;
    }

    /// <summary>A copy in which masked secrets are those of the definition before.</summary>
    /// <exception cref="JobDefinitionException">The definition before has no secret for a mask.</exception>
    public static JsonObject Unmask(JsonObject definition, JsonObject? before)
    {
        ArgumentNullException.ThrowIfNull(definition);
        var copy = (JsonObject)definition.DeepClone();
        List<JobError> errors = [];
        Walk(copy, before, "", (shown, name, old, path) =>
        {
            if (shown[name] is not JsonValue value || !value.TryGetValue<string>(out var text) || text != Mask)
                return;
            if (old?[name] is { } kept)
                shown[name] = kept.DeepClone();
            else
                errors.Add(new JobError(1, 1, $"{path}: {Mask} stands for a secret that is not known here; write the secret itself"));
        });
        return errors.Count == 0 ? copy : throw new JobDefinitionException(errors);
    }

    private static void Walk(JsonNode? node, JsonNode? before, string path, Action<JsonObject, string, JsonObject?, string> onSecret)
    {
        switch (node)
        {
            case JsonObject shown:
                var old = before as JsonObject;
                foreach (var (name, value) in shown.ToList())
                {
                    var place = path.Length == 0 ? name : $"{path}.{name}";
                    if (Secret.Contains(name) && value is JsonValue)
                        onSecret(shown, name, old, place);
                    else
                        Walk(value, old?[name], place, onSecret);
                }

                break;
            case JsonArray list:
                for (var i = 0; i < list.Count; i++)
                    Walk(list[i], (before as JsonArray)?.FirstOrDefault(o => IsSame(list[i], o)), $"{path}[{i}]", onSecret);
                break;
        }
    }

    private static bool IsSame(JsonNode? one, JsonNode? other) =>
        one is JsonObject a && other is JsonObject b && Identity.All(name => JsonNode.DeepEquals(a[name], b[name]));

    private static void HideAddresses(JsonNode? node)
    {
        switch (node)
        {
            case JsonObject shown:
                foreach (var (name, value) in shown.ToList())
                {
                    if (Hidden(value) is { } hidden)
                        shown[name] = hidden;
                }

                break;
            case JsonArray list:
                for (var i = 0; i < list.Count; i++)
                {
                    if (Hidden(list[i]) is { } hidden)
                        list[i] = hidden;
                }

                break;
        }
    }

    /// <summary>A web address without its path; null for anything else, in which addresses are hidden.</summary>
    private static JsonNode? Hidden(JsonNode? node)
    {
        if (node is JsonValue value && value.TryGetValue<string>(out var text) && Uri.TryCreate(text, UriKind.Absolute, out var uri) && uri.Scheme is "http" or "https")
            return $"{uri.Scheme}://{uri.Authority}/{Mask}";
        HideAddresses(node);
        return null;
    }
}
