using System.Globalization;
using Millrace.Processing.DeadLetters;

namespace Millrace.Web.Api;

/// <summary>
/// The dead letters that were not sent again yet. Which ones were is kept beside them, one number per line, so that a
/// letter is never stored twice by two redrives. Thread-safe.
/// </summary>
internal sealed class OpenLetters(DeadLetterStore store, string path)
{
    private const int PageMax = 1000;

    private readonly Lock _gate = new();
    private HashSet<long>? _closed;

    /// <summary>A page of open letters, newest first.</summary>
    public IReadOnlyList<DeadLetter> List(DeadLetterQuery query)
    {
        var closed = Closed();
        List<DeadLetter> open = [];
        var after = query.After;
        while (open.Count < query.Limit)
        {
            var page = store.List(query with { After = after, Limit = PageMax });
            foreach (var letter in page)
            {
                after = letter.Number;
                if (!closed.Contains(letter.Number))
                    open.Add(letter);
                if (open.Count == query.Limit)
                    return open;
            }

            if (page.Count < PageMax)
                break;
        }

        return open;
    }

    /// <summary>The open letters of these numbers; others are left out.</summary>
    public IReadOnlyList<DeadLetter> Find(ushort tenant, IReadOnlyCollection<long> numbers)
    {
        var closed = Closed();
        return [.. numbers.Distinct().Where(n => !closed.Contains(n)).Select(store.Find).OfType<DeadLetter>().Where(l => l.Tenant == tenant)];
    }

    /// <summary>Notes that the letters are readings now.</summary>
    public void Close(IReadOnlyCollection<long> numbers)
    {
        if (numbers.Count == 0)
            return;
        lock (_gate)
        {
            _closed = [.. Closed(), .. numbers];
            File.AppendAllLines(path, numbers.Select(n => n.ToString(CultureInfo.InvariantCulture)));
        }
    }

    private HashSet<long> Closed()
    {
        lock (_gate)
        {
            return _closed ??= File.Exists(path)
                ? [.. File.ReadLines(path).Where(l => long.TryParse(l, NumberStyles.None, CultureInfo.InvariantCulture, out _)).Select(long.Parse)]
                : [];
        }
    }
}
