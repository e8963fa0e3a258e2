using Millrace.Core;

namespace Millrace.Listeners.Tcp;

/// <summary>The open connections in the order in which they last sent something. Thread-safe.</summary>
internal sealed class TcpConnectionTable(int connectionsMax, TimeProvider time)
{
    private readonly Lock _gate = new();
    private readonly LinkedList<TcpLineConnection> _bySilence = [];

    public int Count
    {
        get
        {
            lock (_gate)
                return _bySilence.Count;
        }
    }

    /// <summary>Adds a connection.</summary>
    /// <returns>The one that has been silent longest and has to make room, or null.</returns>
    public TcpLineConnection? Add(TcpLineConnection connection)
    {
        lock (_gate)
        {
            TcpLineConnection? leaving = null;
            if (_bySilence.Count >= connectionsMax)
            {
                leaving = _bySilence.First!.Value;
                Forget(leaving);
            }

            connection.ActiveAt = time.GetTimestamp();
            connection.Place = _bySilence.AddLast(connection);
            return leaving;
        }
    }

    /// <summary>Notes that the connection has just sent something.</summary>
    public void Touch(TcpLineConnection connection)
    {
        lock (_gate)
        {
            connection.ActiveAt = time.GetTimestamp();
            if (connection.Place is not { } place || place.Next is null)
                return;
            _bySilence.Remove(place);
            _bySilence.AddLast(place);
        }
    }

    public void Remove(TcpLineConnection connection)
    {
        lock (_gate)
            Forget(connection);
    }

    /// <summary>Takes out the connections that have been silent for so long.</summary>
    public List<TcpLineConnection> TakeIdle(TimeSpan idle)
    {
        List<TcpLineConnection> taken = [];
        lock (_gate)
        {
            while (_bySilence.First is { } first && time.GetElapsedTime(first.Value.ActiveAt) >= idle)
            {
                taken.Add(first.Value);
                Forget(first.Value);
            }
        }

        return taken;
    }

    public List<TcpLineConnection> All()
    {
        lock (_gate)
            return [.. _bySilence];
    }

    private void Forget(TcpLineConnection connection)
    {
        if (connection.Place is { } place)
            _bySilence.Remove(place);
        connection.Place = null;
    }
}
