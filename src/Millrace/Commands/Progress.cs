using System.Diagnostics;

namespace Millrace.Commands;

/// <summary>One line that tells a person how far a command is, at most once a second; nothing where nobody watches.</summary>
internal sealed class Progress(TextWriter target)
{
    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(1);

    private readonly bool _watched = !Console.IsErrorRedirected;
    private readonly Stopwatch _watch = Stopwatch.StartNew();
    private TimeSpan _shown;
    private int _width;

    public void Show(FormattableString line)
    {
        if (!_watched || _watch.Elapsed - _shown < Interval)
            return;
        _shown = _watch.Elapsed;
        var text = FormattableString.Invariant(line);
        target.Write('\r' + text.PadRight(_width));
        _width = text.Length;
    }

    /// <summary>Ends the line, if there was one.</summary>
    public void End()
    {
        if (_width > 0)
            target.WriteLine();
        _width = 0;
    }
}
