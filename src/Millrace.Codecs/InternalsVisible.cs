using System.Runtime.CompilerServices;

[assembly: InternalsVisibleTo("Millrace.Codecs.Tests")]
