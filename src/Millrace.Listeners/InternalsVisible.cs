using System.Runtime.CompilerServices;

[assembly: InternalsVisibleTo("Millrace.Listeners.Tests")]
