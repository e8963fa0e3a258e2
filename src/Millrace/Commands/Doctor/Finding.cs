namespace Millrace.Commands.Doctor;

internal enum Verdict
{
    Ok,
    Warn,
    Fail,
}

/// <summary>One line of the doctor's report.</summary>
/// <param name="Mend">What to do about it; empty when all is well.</param>
internal sealed record Finding(Verdict Verdict, string Subject, string Text, string Mend = "");
