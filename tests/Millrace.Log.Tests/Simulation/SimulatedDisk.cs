using Millrace.Log.Disk;

namespace Millrace.Log.Tests.Simulation;

/// <summary>
/// A disk in memory that behaves as badly as disks may: writes stay in a cache until they are flushed and reach the
/// medium in any part and order when power fails; a failed flush leaves pages that look clean and are not stored; names
/// are durable only after the folder is flushed. Everything random comes from one seed.
/// </summary>
internal sealed class SimulatedDisk(ulong seed) : IDisk
{
    private const int SectorBytes = 512;

    private readonly object _gate = new();
    private readonly Random _random = new((int)(seed ^ (seed >> 32)));
    private readonly List<Action<Dictionary<string, Inode>>> _pendingNames = [];
    private Dictionary<string, Inode> _names = [];
    private Dictionary<string, Inode> _durableNames = [];
    private int _life;
    private bool _dead;
    private bool _paused;
    private TaskCompletionSource? _waiting;

    /// <summary>Operations that change something, so far.</summary>
    public int Operations { get; private set; }

    /// <summary>The operation (counted from now) in the middle of which the process dies; 0 = none.</summary>
    public int DieAtOperation { get; set; }

    /// <summary>How many of the next flushes fail.</summary>
    public int FlushesToFail { get; set; }

    /// <summary>How many of the next reads fail.</summary>
    public int ReadsToFail { get; set; }

    /// <summary>The folder's names may not be changed any more, as after a change of its owner.</summary>
    public bool RefusesDeletes { get; set; }

    public long CapacityBytes { get; set; } = long.MaxValue / 4;

    /// <summary>Lets the disk promise room that it has not, as file systems with delayed allocation or quotas do.</summary>
    public bool PromisesRoom { get; set; }

    public IReadOnlyCollection<string> Names => _names.Keys;

    public byte[] BytesOf(string path)
    {
        lock (_gate)
            return _names[path].Current[..(int)_names[path].Length];
    }

    /// <summary>The process is gone, the machine goes on: what was written stays in the cache.</summary>
    public void Kill()
    {
        lock (_gate)
        {
            _life++;
            _dead = false;
            DieAtOperation = FlushesToFail = ReadsToFail = 0;
            CapacityBytes = long.MaxValue / 4;
        }
    }

    /// <summary>Power is gone: of what was not flushed any part may be there.</summary>
    public void LosePower()
    {
        lock (_gate)
        {
            var names = new Dictionary<string, Inode>(_durableNames);
            foreach (var change in _pendingNames.Take(_random.Next(_pendingNames.Count + 1)))
                change(names);
            _pendingNames.Clear();
            _names = names;
            _durableNames = new Dictionary<string, Inode>(names);
            foreach (var inode in names.Values.Distinct())
                inode.LosePower(_random);
            Kill();
        }
    }

    /// <summary>Flips bits of a file on the medium and in the cache.</summary>
    public void Rot(string path, long offset, int bytes)
    {
        lock (_gate)
        {
            for (var i = offset; i < offset + bytes; i++)
            {
                var flip = (byte)(1 + _random.Next(255));
                _names[path].Current[i] ^= flip;
                _names[path].Durable[i] ^= flip;
            }
        }
    }

    public void Zero(string path, long offset, int bytes)
    {
        lock (_gate)
        {
            _names[path].Current.AsSpan((int)offset, bytes).Clear();
            _names[path].Durable.AsSpan((int)offset, bytes).Clear();
        }
    }

    /// <summary>Lets writes wait until <see cref="Resume"/>; the task completes when the first one does.</summary>
    public Task Pause()
    {
        lock (_gate)
        {
            _paused = true;
            _waiting = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            return _waiting.Task;
        }
    }

    public void Resume()
    {
        lock (_gate)
        {
            _paused = false;
            Monitor.PulseAll(_gate);
        }
    }

    public void CreateFolder(string folder) { }

    public IReadOnlyList<DiskEntry> List(string folder)
    {
        lock (_gate)
        {
            Alive(_life);
            return [.. _names.Select(n => new DiskEntry(Path.GetFileName(n.Key), n.Value.Length))];
        }
    }

    public IDiskFile Open(string path, DiskOpen how)
    {
        lock (_gate)
        {
            Alive(_life);
            if (how != DiskOpen.Create)
                return new File(this, _names.GetValueOrDefault(path) ?? throw new FileNotFoundException(path), _life);

            Step(() => { });
            var inode = new Inode();
            Rename(names => names[path] = inode);
            return new File(this, inode, _life);
        }
    }

    public void Rename(string from, string to)
    {
        lock (_gate)
        {
            Step(() => { });
            if (!_names.ContainsKey(from))
                throw new FileNotFoundException(from);
            Rename(names =>
            {
                if (names.Remove(from, out var inode))
                    names[to] = inode;
            });
        }
    }

    public void Delete(string path)
    {
        if (RefusesDeletes)
            throw new UnauthorizedAccessException($"{path} may not be deleted");
        lock (_gate)
        {
            Step(() => { });
            Rename(names => names.Remove(path));
        }
    }

    public void SyncFolder(string folder)
    {
        lock (_gate)
        {
            Step(() => { });
            _durableNames = new Dictionary<string, Inode>(_names);
            _pendingNames.Clear();
        }
    }

    public (long Free, long Total) Space(string folder)
    {
        lock (_gate)
            return (PromisesRoom ? 1L << 40 : CapacityBytes - Used, CapacityBytes);
    }

    public long Used
    {
        get
        {
            lock (_gate)
                return _names.Values.Sum(i => i.Length);
        }
    }

    private void Rename(Action<Dictionary<string, Inode>> change)
    {
        change(_names);
        _pendingNames.Add(change);
    }

    /// <summary>The disk as one process sees it: dead for it as soon as the process is.</summary>
    public IDisk NewProcess()
    {
        lock (_gate)
            return new Process(this, _life);
    }

    private void Alive(int life)
    {
        if (_dead || life != _life)
            throw new SimulatedDeathException();
    }

    /// <summary>Counts an operation, and dies in the middle of it when its time has come.</summary>
    private void Step(Action half)
    {
        if (_dead)
            throw new SimulatedDeathException();
        Operations++;
        if (DieAtOperation == 0 || --DieAtOperation > 0)
            return;
        half();
        _dead = true;
        throw new SimulatedDeathException();
    }

    private sealed class Process(SimulatedDisk disk, int life) : IDisk
    {
        public void CreateFolder(string folder) { }

        public IReadOnlyList<DiskEntry> List(string folder) => WhileAlive(() => disk.List(folder));

        public IDiskFile Open(string path, DiskOpen how) => WhileAlive(() => disk.Open(path, how));

        public void Rename(string from, string to) => WhileAlive(() => Do(() => disk.Rename(from, to)));

        public void Delete(string path) => WhileAlive(() => Do(() => disk.Delete(path)));

        public void SyncFolder(string folder) => WhileAlive(() => Do(() => disk.SyncFolder(folder)));

        public (long Free, long Total) Space(string folder) => WhileAlive(() => disk.Space(folder));

        private static bool Do(Action action)
        {
            action();
            return true;
        }

        private T WhileAlive<T>(Func<T> action)
        {
            lock (disk._gate)
            {
                disk.Alive(life);
                return action();
            }
        }
    }

    private sealed class File(SimulatedDisk disk, Inode inode, int life) : IDiskFile
    {
        public long Length
        {
            get
            {
                lock (disk._gate)
                    return inode.Length;
            }
        }

        public int ReadAt(long offset, Span<byte> target)
        {
            lock (disk._gate)
            {
                disk.Alive(life);
                if (disk.ReadsToFail > 0)
                {
                    disk.ReadsToFail--;
                    throw new IOException("the simulated medium cannot be read");
                }

                var count = (int)Math.Clamp(inode.Length - offset, 0, target.Length);
                inode.Current.AsSpan((int)Math.Min(offset, inode.Length), count).CopyTo(target);
                return count;
            }
        }

        public void WriteAt(long offset, ReadOnlySpan<byte> bytes)
        {
            var copy = bytes.ToArray();
            lock (disk._gate)
            {
                while (disk._paused)
                {
                    disk._waiting?.TrySetResult();
                    Monitor.Wait(disk._gate);
                }

                disk.Alive(life);
                disk.Step(() => inode.Write(offset, copy.AsSpan(0, disk._random.Next(copy.Length + 1))));
                var room = disk.CapacityBytes - disk.Used;
                var growth = Math.Max(0, offset + copy.Length - inode.Length);
                if (growth > room)
                {
                    inode.Write(offset, copy.AsSpan(0, (int)Math.Max(0, copy.Length - (growth - room))));
                    throw new DiskFullException("the simulated disk is full");
                }

                inode.Write(offset, copy);
            }
        }

        public void Flush()
        {
            lock (disk._gate)
            {
                disk.Alive(life);
                disk.Step(() => inode.FlushSome(disk._random, loseRest: false));
                if (disk.FlushesToFail > 0)
                {
                    disk.FlushesToFail--;
                    inode.FlushSome(disk._random, loseRest: true);
                    throw new IOException("the simulated flush failed");
                }

                inode.Flush();
            }
        }

        public void Truncate(long length)
        {
            lock (disk._gate)
            {
                disk.Alive(life);
                disk.Step(() => { });
                inode.Truncate(length);
            }
        }

        public void Dispose() { }
    }

    /// <summary>A file as the process sees it and as the medium has it.</summary>
    private sealed class Inode
    {
        private readonly SortedSet<long> _dirty = [];

        public byte[] Current { get; private set; } = [];
        public byte[] Durable { get; private set; } = [];
        public long Length { get; private set; }
        private long DurableLength { get; set; }

        public void Write(long offset, ReadOnlySpan<byte> bytes)
        {
            if (bytes.IsEmpty)
                return;
            Reserve(offset + bytes.Length);
            bytes.CopyTo(Current.AsSpan((int)offset));
            Length = Math.Max(Length, offset + bytes.Length);
            for (var sector = offset / SectorBytes; sector <= (offset + bytes.Length - 1) / SectorBytes; sector++)
                _dirty.Add(sector);
        }

        public void Flush()
        {
            foreach (var sector in _dirty)
                Store(sector, SectorBytes);
            _dirty.Clear();
            DurableLength = Length;
        }

        /// <summary>Some sectors reach the medium. After a failed flush the rest looks clean and is not stored.</summary>
        public void FlushSome(Random random, bool loseRest)
        {
            foreach (var sector in _dirty.Where(_ => random.Next(2) == 0).ToList())
            {
                Store(sector, SectorBytes);
                _dirty.Remove(sector);
            }

            if (loseRest)
                _dirty.Clear();
            if (random.Next(2) == 0)
                DurableLength = Math.Max(DurableLength, Length);
        }

        public void Truncate(long length)
        {
            Reserve(length);
            Array.Clear(Current, (int)length, Current.Length - (int)length);
            Array.Clear(Durable, (int)length, Durable.Length - (int)length);
            Length = DurableLength = length;
            _dirty.RemoveWhere(s => s * SectorBytes >= length);
        }

        public void LosePower(Random random)
        {
            foreach (var sector in _dirty)
            {
                // Whole, not at all, or torn within.
                switch (random.Next(3))
                {
                    case 0:
                        Store(sector, SectorBytes);
                        break;
                    case 1:
                        Store(sector, random.Next(SectorBytes));
                        break;
                }
            }

            _dirty.Clear();
            if (Length > DurableLength)
                DurableLength += random.NextInt64(Length - DurableLength + 1);
            Length = DurableLength;
            Array.Clear(Durable, (int)Length, Durable.Length - (int)Length);
            Durable.CopyTo(Current, 0);
        }

        private void Store(long sector, int bytes)
        {
            var start = (int)sector * SectorBytes;
            var count = Math.Min(bytes, Current.Length - start);
            if (count > 0)
                Current.AsSpan(start, count).CopyTo(Durable.AsSpan(start));
        }

        private void Reserve(long length)
        {
            if (Current.Length >= length)
                return;
            var capacity = (int)Math.Max(length, Math.Max(4096, Current.Length * 2L));
            (var current, var durable) = (Current, Durable);
            Array.Resize(ref current, capacity);
            Array.Resize(ref durable, capacity);
            (Current, Durable) = (current, durable);
        }
    }
}

/// <summary>The process died in the middle of something; nothing it still does has any effect.</summary>
internal sealed class SimulatedDeathException() : IOException("the simulated process is dead");
