using System.Text.Encodings.Web;
using System.Text.Json;

namespace Millrace.Listeners.Http;

/// <summary>How JSON leaves: UTF-8 as it is, since every answer is declared as JSON and never embedded in a page.</summary>
public static class JsonText
{
    public static JsonWriterOptions WriterOptions { get; } = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping, SkipValidation = true };
}
