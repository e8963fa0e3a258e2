using System.Runtime.ExceptionServices;

namespace Millrace.StreamSql.Spreading;

/// <summary>Work in phases, each of items that may be done by any member at any time; a phase begins when the one before has ended.</summary>
internal interface IPhasedWork
{
    int Phases { get; }

    /// <summary>Asked when the phase begins.</summary>
    int ItemsOf(int phase);

    /// <summary>Does one item.</summary>
    /// <param name="member">Who does it, from 0: no two items are done at once by the same member.</param>
    void Do(int phase, int item, int member);
}

/// <summary>
/// Threads that do one piece of work at a time while their owner does something else; the owner helps when it waits for the end.
/// Members that find nothing to do sleep.
/// </summary>
internal sealed class Crew : IDisposable
{
    private readonly object gate = new();
    private readonly Thread[] threads;
    private IPhasedWork? work;
    private int phase;
    private int next;
    private int items;
    private int running;
    private Exception? failure;
    private bool leaving;

    /// <param name="members">With the owner, who is the last of them.</param>
    public Crew(int members)
    {
        threads = [.. Enumerable.Range(0, members - 1).Select(index => new Thread(() => Live(index)) { IsBackground = true, Name = $"query {index + 1}" })];
        foreach (var thread in threads)
            thread.Start();
    }

    /// <summary>Begins; what was begun before has been finished.</summary>
    public void Begin(IPhasedWork begun)
    {
        lock (gate)
        {
            work = begun;
            failure = null;
            phase = -1;
            items = next = 0;
            NextPhase();
            Monitor.PulseAll(gate);
        }
    }

    /// <summary>Helps until all is done.</summary>
    /// <exception cref="Exception">What a member threw first; the rest of the work is then not done.</exception>
    public void Finish()
    {
        lock (gate)
        {
            while (work is not null)
            {
                if (next < items)
                    DoNext(threads.Length);
                else
                    Monitor.Wait(gate);
            }
        }

        if (failure is not null)
            ExceptionDispatchInfo.Throw(failure);
    }

    private void Live(int member)
    {
        lock (gate)
        {
            while (!leaving)
            {
                if (next < items)
                    DoNext(member);
                else
                    Monitor.Wait(gate);
            }
        }
    }

    /// <summary>Takes an item and does it outside the lock.</summary>
    private void DoNext(int member)
    {
        var (mine, inPhase, item) = (work!, phase, next++);
        running++;
        Monitor.Exit(gate);
        Exception? thrown = null;
        try
        {
            mine.Do(inPhase, item, member);
        }
#pragma warning disable CA1031 // It is thrown again where the owner waits.
        catch (Exception e)
        {
            thrown = e;
        }
#pragma warning restore CA1031
        finally
        {
            Monitor.Enter(gate);
        }

        running--;
        if (thrown is not null)
        {
            failure ??= thrown;
            next = items;
        }

        if (next < items || running > 0)
            return;
        NextPhase();
        Monitor.PulseAll(gate);
    }

    private void NextPhase()
    {
        next = items = 0;
        while (items == 0)
        {
            if (failure is not null || ++phase == work!.Phases)
            {
                work = null;
                return;
            }

            items = work.ItemsOf(phase);
        }
    }

    /// <summary>Ends the threads; work under way is left when its items in hand are done.</summary>
    public void Dispose()
    {
        lock (gate)
        {
            leaving = true;
            next = items;
            Monitor.PulseAll(gate);
        }

        foreach (var thread in threads)
            thread.Join();
    }
}
