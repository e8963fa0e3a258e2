using System.Collections.Concurrent;

namespace Millrace.Listeners.Middleware;

/// <summary>
/// Who was in touch, when last and how often: what operators ask for, never where data lives. Bounded: beyond that,
/// newcomers are served and not listed. Thread-safe.
/// </summary>
internal sealed class ContactBook(int entriesMax)
{
    private readonly ConcurrentDictionary<string, Contact> _contacts = new(StringComparer.Ordinal);
    private int _count;

    public IEnumerable<KeyValuePair<string, Contact>> Contacts => _contacts;

    /// <summary>Notes a contact; returns it, or null when the book is full and the name is new.</summary>
    public Contact? Touch(string name, long now)
    {
        if (!_contacts.TryGetValue(name, out var contact))
        {
            if (Volatile.Read(ref _count) >= entriesMax)
                return null;
            contact = _contacts.GetOrAdd(name, _ => new Contact(Interlocked.Increment(ref _count)));
        }

        contact.LastAt = now;
        Interlocked.Increment(ref contact.Count);
        return contact;
    }

    internal sealed class Contact(int number)
    {
        public int Count;

        /// <summary>In order of first contact, from 1.</summary>
        public int Number => number;

        public long LastAt { get; set; }
    }
}
