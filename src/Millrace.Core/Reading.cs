namespace Millrace.Core;

/// <summary>Who took the reading. The numbers are stored in the log and never change.</summary>
public enum ListenerId : byte
{
    Udp = 1,
    Tcp = 2,
    Http = 3,
    Middleware = 4,
    Mqtt = 5,
    Amqp = 6,
    WebSocket = 7,
    Wamp = 8,
    LoRaWan = 9,
    SkyNet = 10,
}

/// <summary>What the payload's bytes are. The numbers are stored in the log and never change.</summary>
public enum PayloadFormat : byte
{
    /// <summary>The value of <c>ID:value</c>, a number or any other text; its JSON view is {"value": …}.</summary>
    Text = 1,

    /// <summary>One JSON object, as received.</summary>
    Json = 2,

    /// <summary>One XML document, as received.</summary>
    Xml = 3,

    /// <summary>Fields of application/x-www-form-urlencoded, as received.</summary>
    Form = 4,

    /// <summary>The gas-meter JSON document with a base64 meter payload, decoded by the standard rules when viewed.</summary>
    GasMeter = 5,

    /// <summary>The same document, decoded by the published article's (wrong) rules, chosen by configuration.</summary>
    GasMeterArticle = 6,

    /// <summary>Bytes that no codec claims; the JSON view is {"$base64": …}.</summary>
    Binary = 7,
}

[Flags]
public enum ReadingFlags : byte
{
    None = 0,

    /// <summary>The sender proved its identity with a token.</summary>
    Authenticated = 1,
}

/// <summary>The names by which listeners are known in metrics, the log dump and the API.</summary>
public static class ListenerNames
{
    private static readonly string[] Names =
        ["unknown", "udp", "tcp", "http", "middleware", "mqtt", "amqp", "websocket", "wamp", "lorawan", "skynet"];

    public static string Name(this ListenerId id) => (int)id < Names.Length ? Names[(int)id] : "unknown";

    public static bool TryParse(string name, out ListenerId id)
    {
        var index = Array.IndexOf(Names, name);
        id = (ListenerId)Math.Max(index, 0);
        return index > 0;
    }
}
