using System.Reflection;
using Microsoft.Extensions.Logging;

namespace Millrace.Tests.Repository;

public sealed class EventNumberTests
{
    [Fact]
    public void Every_log_message_has_a_number_of_its_own()
    {
        var messages = Directory.EnumerateFiles(AppContext.BaseDirectory, "*.dll")
            .Where(file => Path.GetFileName(file).StartsWith("Millrace.", StringComparison.Ordinal) || Path.GetFileName(file) == "millrace.dll")
            .Where(file => !Path.GetFileName(file).Contains("Tests", StringComparison.Ordinal))
            .SelectMany(file => Assembly.LoadFrom(file).GetTypes())
            .SelectMany(type => type.GetMethods(BindingFlags.Static | BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.DeclaredOnly))
            .Select(method => (Method: method, Message: method.GetCustomAttribute<LoggerMessageAttribute>()))
            .Where(found => found.Message is not null)
            .ToList();

        Assert.True(messages.Count > 50, $"only {messages.Count} messages were found");
        var shared = messages.GroupBy(found => found.Message!.EventId).Where(same => same.Count() > 1)
            .Select(same => $"{same.Key}: {string.Join(", ", same.Select(found => $"{found.Method.DeclaringType!.Name}.{found.Method.Name}"))}");
        Assert.Empty(shared);
    }
}
