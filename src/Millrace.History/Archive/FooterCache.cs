using Millrace.Parquet;

namespace Millrace.History.Archive;

/// <summary>Footers of files that were opened lately, up to so many bytes; what was not asked for longest goes first. Thread-safe.</summary>
internal sealed class FooterCache(long bytesMax)
{
    /// <summary>Taken apart, a footer takes about as much again.</summary>
    private const int CostFactor = 2;

    private readonly Lock _oneAtATime = new();
    private readonly Dictionary<string, LinkedListNode<Entry>> _byName = new(StringComparer.Ordinal);
    private readonly LinkedList<Entry> _lastUsedFirst = new();
    private long _bytes;

    private sealed record Entry(string Name, long FileBytes, ParquetReader Footer, long Cost);

    /// <summary>The reader that a file was opened with before; only its footer may be used.</summary>
    /// <param name="fileBytes">The length that the file must have: one of the same name may have been written anew.</param>
    public ParquetReader? Find(string name, long fileBytes)
    {
        lock (_oneAtATime)
        {
            if (!_byName.TryGetValue(name, out var node))
                return null;
            if (node.Value.FileBytes != fileBytes)
            {
                Forget(node);
                return null;
            }

            _lastUsedFirst.Remove(node);
            _lastUsedFirst.AddFirst(node);
            return node.Value.Footer;
        }
    }

    public void Keep(string name, long fileBytes, ParquetReader footer)
    {
        var entry = new Entry(name, fileBytes, footer, footer.MetadataBytes * (long)CostFactor);
        lock (_oneAtATime)
        {
            if (entry.Cost > bytesMax || !_byName.TryAdd(name, new LinkedListNode<Entry>(entry)))
                return;
            _lastUsedFirst.AddFirst(_byName[name]);
            _bytes += entry.Cost;
            while (_bytes > bytesMax)
                Forget(_lastUsedFirst.Last!);
        }
    }

    private void Forget(LinkedListNode<Entry> node)
    {
        _lastUsedFirst.Remove(node);
        _byName.Remove(node.Value.Name);
        _bytes -= node.Value.Cost;
    }
}
