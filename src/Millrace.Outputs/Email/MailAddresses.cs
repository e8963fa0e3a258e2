namespace Millrace.Outputs.Email;

/// <summary>Which texts are taken for a mail address: one @, no blanks, no control characters, nothing that ends a command.</summary>
public static class MailAddresses
{
    public static bool IsValid(string address)
    {
        var at = address.IndexOf('@');
        return at > 0 && at < address.Length - 1 && at == address.LastIndexOf('@') && address.Length <= 254
            && !address.Any(c => char.IsControl(c) || char.IsWhiteSpace(c) || c is '<' or '>' or ',' or ';' or '"' or '(' or ')');
    }

    /// <summary>Addresses separated by commas or semicolons.</summary>
    /// <exception cref="OutputException">One of them is not an address.</exception>
    public static IReadOnlyList<string> ParseList(string text)
    {
        var all = text.Split([',', ';'], StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
        if (all.Length == 0)
            throw new OutputException("an e-mail needs at least one recipient", refused: true);
        foreach (var address in all)
        {
            if (!IsValid(address))
                throw new OutputException($"'{address}' is not a mail address", refused: true);
        }

        return all;
    }
}
