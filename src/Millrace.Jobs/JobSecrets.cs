using System.Text.Json.Nodes;

namespace Millrace.Jobs;

/// <summary>Hides what a definition keeps secret when it is shown, and puts it back when the shown text is sent again.</summary>
public static class JobSecrets
{
    public const string Mask = "***";

    private static readonly string[] Secret = ["secret", "connection"];

    /// <summary>A copy with every secret replaced by <see cref="Mask"/>.</summary>
    public static JsonObject Masked(JsonObject definition)
    {
        ArgumentNullException.ThrowIfNull(definition);
        var copy = (JsonObject)definition.DeepClone();
        Walk(copy, null, (shown, name, _) => shown[name] = Mask);
        return copy;
    }

    /// <summary>A copy in which masked secrets are those of the definition before.</summary>
    public static JsonObject Unmask(JsonObject definition, JsonObject? before)
    {
        ArgumentNullException.ThrowIfNull(definition);
        var copy = (JsonObject)definition.DeepClone();
        Walk(copy, before, (shown, name, old) =>
        {
            if (shown[name] is JsonValue value && value.TryGetValue<string>(out var text) && text == Mask && old?[name] is { } kept)
                shown[name] = kept.DeepClone();
        });
        return copy;
    }

    private static void Walk(JsonNode? node, JsonNode? before, Action<JsonObject, string, JsonObject?> onSecret)
    {
        switch (node)
        {
            case JsonObject shown:
                var old = before as JsonObject;
                foreach (var (name, value) in shown.ToList())
                {
                    if (Secret.Contains(name) && value is JsonValue)
                        onSecret(shown, name, old);
                    else
                        Walk(value, old?[name], onSecret);
                }

                break;
            case JsonArray list:
                for (var i = 0; i < list.Count; i++)
                    Walk(list[i], before is JsonArray oldList && i < oldList.Count ? oldList[i] : null, onSecret);
                break;
        }
    }
}
