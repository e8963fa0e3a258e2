using Microsoft.Extensions.Hosting;

namespace Millrace.Web.Hosting;

/// <summary>Signals are the program's business: the host neither watches for them nor prints about itself.</summary>
internal sealed class NoLifetime : IHostLifetime
{
    public Task WaitForStartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
}
