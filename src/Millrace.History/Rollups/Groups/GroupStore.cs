using System.Buffers.Binary;
using System.IO.Compression;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json;
using Microsoft.Extensions.Logging;
using Millrace.Core;
using Millrace.History.Rollups.Stored;

namespace Millrace.History.Rollups.Groups;

/// <summary>The stored minutes of groups and the stored presence (docs/formats/rollups.md). One writer; readers open files by themselves.</summary>
internal sealed class GroupStore(string root, ILogger logger)
{
    internal const string StateFile = "state.json";
    internal const string DevicesFile = "devices.bin";
    private const int Version = 1;
    private const int DeviceBytes = 10;
    private const long Day = 86_400 * Micros.PerSecond;

    /// <summary>As many files of checkpoints are merged into days.</summary>
    private const int MergeFiles = 8;

    /// <summary>A bit for each of a thousand million devices: what says more is damaged.</summary>
    private const uint PresenceWordsMax = 1 << 24;

    private readonly string _statePath = Path.Combine(root, StateFile);
    private readonly string _devicesPath = Path.Combine(root, DevicesFile);
    /// <summary>Files that hold nothing any more of so many tenants whose age they are past.</summary>
    private readonly Dictionary<string, int> _retained = new(StringComparer.Ordinal);

    private GroupState _state = new(Version, "", 0, 0, [], [], []);

    /// <summary>Called before each change on disk; tests stop here as a crash would.</summary>
    internal static AsyncLocal<Action?> BeforeStep { get; } = new();

    /// <summary>How far the log was taken in; null in a new folder.</summary>
    public PositionVector? Position => _state.Position.Length == 0 ? null : PositionVector.Parse(_state.Position);

    /// <summary>Opens the folder; leftovers of a crash are deleted.</summary>
    /// <exception cref="InvalidDataException">state.json is damaged or of a newer release.</exception>
    public void Open()
    {
        Directory.CreateDirectory(root);
        if (File.Exists(_statePath))
            _state = WithoutDamaged(Parse(File.ReadAllBytes(_statePath), _statePath), static path => new CellFileReader(path).Dispose());
        var kept = _state.Files.Concat([StateFile, DevicesFile]).ToHashSet();
        foreach (var path in Directory.EnumerateFiles(root).Where(path => !kept.Contains(Path.GetFileName(path))))
            File.Delete(path);
    }

    /// <summary>Forgets everything: what was stored does not belong to this log.</summary>
    public void Clear()
    {
        _state = new GroupState(Version, "", 0, 0, [], [], []);
        Directory.Delete(root, recursive: true);
        Directory.CreateDirectory(root);
    }

    /// <summary>The devices met before, in the order of their numbers.</summary>
    public List<(ulong Hash, ushort Tenant)> Devices()
    {
        var devices = new List<(ulong, ushort)>(_state.Devices);
        if (_state.Devices == 0)
            return devices;
        var bytes = File.ReadAllBytes(_devicesPath);
        for (var i = 0; i < _state.Devices; i++)
        {
            var device = bytes.AsSpan(i * DeviceBytes, DeviceBytes);
            devices.Add((BinaryPrimitives.ReadUInt64LittleEndian(device), BinaryPrimitives.ReadUInt16LittleEndian(device[8..])));
        }

        return devices;
    }

    /// <summary>Stores what is new, and with it the position that it reaches to.</summary>
    /// <param name="series">In any order.</param>
    /// <param name="presence">Days that changed, whole.</param>
    public void Commit(
        PositionVector position, IReadOnlyList<(ulong, ushort Tenant)> devices, IReadOnlyList<GroupSeries> groups,
        IEnumerable<(byte[] Key, List<FieldCells> Fields)> series, IReadOnlyDictionary<long, Presence> presence)
    {
        var next = _state.Next;
        AppendDevices(devices);
        var files = new List<StoredCells>(_state.Cells);
        if (WriteCells($"c{next:D9}.cells", series.OrderBy(s => s.Key, KeyOrder), null) is { } written)
            files.Add(written);
        var days = new Dictionary<long, string>(_state.Presence);
        foreach (var (day, bits) in presence)
            WritePresence(days[day] = $"p{day}-{next}.bits", bits);
        Replace(_state with { Position = position.ToString(), Devices = devices.Count, Next = next + 1, Cells = files, Presence = days, Series = [.. groups] });
    }

    /// <summary>Merges the files of checkpoints into days, when there are enough; false when there is nothing to do.</summary>
    public bool MergeOnce()
    {
        try
        {
            return MergeSmall();
        }
        catch (Exception fault) when (fault is InvalidDataException or FileNotFoundException)
        {
            Replace(WithoutDamaged(_state, ReadToTheEnd));
            return true;
        }
    }

    /// <summary>Takes away the days of each tenant that are past its age, and the presence of days past the ages of all.</summary>
    /// <param name="age">Null for never.</param>
    public void Retain(long now, Func<ushort, TimeSpan?> age)
    {
        var ends = _state.Series.Select(series => series.Tenant).Distinct().ToDictionary(
            tenant => tenant, tenant => age(tenant) is { } old ? now - (long)old.TotalMicroseconds : long.MinValue);
        if (ends.Count == 0)
            return;

        var next = _state.Next;
        var files = new List<StoredCells>();
        foreach (var file in _state.Cells)
        {
            var gone = ends.Where(end => file.Day is { } day && (day + 1) * Day <= end.Value).Select(end => end.Key).ToHashSet();
            if (gone.Count == 0 || _retained.GetValueOrDefault(file.Name) == gone.Count)
                files.Add(file);
            else if (gone.Count < ends.Count && WithoutTenants(file, gone, $"d{file.Day}-{next}.cells") is { } left)
                files.Add(left);
        }

        var presence = _state.Presence.Where(day => ends.Values.Any(end => (day.Key + 1) * Day > end)).ToDictionary();
        if (presence.Count < _state.Presence.Count || !files.SequenceEqual(_state.Cells))
            Replace(_state with { Next = next + 1, Cells = files, Presence = presence });
    }

    private StoredCells? WithoutTenants(StoredCells file, HashSet<ushort> gone, string name)
    {
        using var reader = new CellFileReader(Path.Combine(root, file.Name));
        var left = WriteCells(name, reader.All().Where(series => !gone.Contains(BinaryPrimitives.ReadUInt16LittleEndian(series.Key))), file.Day);
        if (left is not null)
            _retained[name] = gone.Count;
        return left;
    }

    private bool MergeSmall()
    {
        var small = _state.Cells.Where(file => file.Day is null).ToList();
        if (small.Count < MergeFiles)
            return false;

        var next = _state.Next;
        var files = _state.Cells.Where(file => file.Day is not null).ToList();
        var days = small.SelectMany(file => DaysOf(file.From, file.To)).Distinct().Order().ToList();
        foreach (var day in days)
        {
            var old = files.Where(file => file.Day == day).ToList();
            if (MergeDay(day, [.. old, .. small], $"d{day}-{next}.cells") is not { } merged)
                continue;
            files.RemoveAll(old.Contains);
            files.Add(merged);
        }

        Replace(_state with { Next = next + 1, Cells = files });
        return true;
    }

    /// <summary>Groups that have stored cells.</summary>
    public IReadOnlyList<GroupSeries> Series => _state.Series;

    /// <summary>Opens the files with cells of the stretch: opened they stay readable, also when a merge takes them away.</summary>
    public List<CellFileReader> OpenCells(long from, long to)
    {
        var files = new List<CellFileReader>();
        foreach (var file in _state.Cells.Where(file => file.To >= from && file.From < to))
            IsWhole(file.Name, path => files.Add(new CellFileReader(path)));
        return files;
    }

    /// <summary>Adds the stored cells of a group's field with from ≤ start &lt; to.</summary>
    public void Collect(List<CellFileReader> files, GroupSeries series, string field, long from, long to, SortedList<long, Cell> into)
    {
        var key = KeyOf(series);
        var hash = DeviceIds.Hash(series.Tenant, key);
        foreach (var file in files)
        {
            IsWhole(Path.GetFileName(file.Path), _ =>
            {
                foreach (var found in file.Find(hash, key, [field]))
                    CellMerge.Into(into, found.Cells.Where(cell => cell.Start >= from && cell.Start < to));
            });
        }
    }

    /// <summary>The presence of a stored day; null when there is none.</summary>
    public Presence? ReadPresence(long day)
    {
        Presence? presence = null;
        if (_state.Presence.TryGetValue(day, out var name))
            IsWhole(name, path => presence = ReadPresence(path, day));
        return presence;
    }

    /// <exception cref="InvalidDataException">The file is damaged.</exception>
    private static Presence ReadPresence(string path, long day)
    {
        using var file = new BrotliStream(File.OpenRead(path), CompressionMode.Decompress);
        var presence = new Presence();
        var head = new byte[8];
        try
        {
            while (file.ReadAtLeast(head, 8, throwOnEndOfStream: false) == 8)
            {
                var (quarter, words) = (BinaryPrimitives.ReadUInt32LittleEndian(head), BinaryPrimitives.ReadUInt32LittleEndian(head.AsSpan(4)));
                if (quarter >= Day / LocalBuckets.QuarterHour || words > PresenceWordsMax)
                    throw new InvalidDataException($"{path} is damaged.");
                var bits = new ulong[words];
                file.ReadExactly(MemoryMarshal.AsBytes(bits.AsSpan()));
                presence.Mark(day * Day + quarter * LocalBuckets.QuarterHour, bits);
            }
        }
        catch (Exception fault) when (fault is EndOfStreamException or InvalidOperationException)
        {
            throw new InvalidDataException($"{path} is damaged.", fault);
        }

        return presence;
    }

    public static byte[] KeyOf(GroupSeries series)
    {
        var name = Encoding.UTF8.GetBytes(series.Name);
        var key = new byte[3 + name.Length];
        BinaryPrimitives.WriteUInt16LittleEndian(key, series.Tenant);
        key[2] = (byte)series.Kind;
        name.CopyTo(key, 3);
        return key;
    }

    private static Comparer<byte[]> KeyOrder { get; } = Comparer<byte[]>.Create(static (a, b) => a.AsSpan().SequenceCompareTo(b));

    private static IEnumerable<long> DaysOf(long from, long to)
    {
        for (var day = LocalBuckets.Floor(from, Day) / Day; day <= LocalBuckets.Floor(to, Day) / Day; day++)
            yield return day;
    }

    private StoredCells? MergeDay(long day, List<StoredCells> inputs, string name)
    {
        var readers = inputs.Where(file => file.To >= day * Day && file.From < (day + 1) * Day)
            .Select(file => new CellFileReader(Path.Combine(root, file.Name))).ToList();
        try
        {
            var merged = CellMerge.Merge([.. readers.Select(reader => reader.All())]);
            return WriteCells(name, merged.Select(series => (series.Key, OfDay(series.Fields, day))), day);
        }
        finally
        {
            readers.ForEach(reader => reader.Dispose());
        }
    }

    private static List<FieldCells> OfDay(List<FieldCells> fields, long day) =>
        fields.ConvertAll(field => field with { Cells = [.. field.Cells.Where(cell => cell.Start >= day * Day && cell.Start < (day + 1) * Day)] });

    private StoredCells? WriteCells(string name, IEnumerable<(byte[] Key, List<FieldCells> Fields)> series, long? day)
    {
        var (from, to) = (long.MaxValue, long.MinValue);
        using (var writer = new CellFileWriter(Path.Combine(root, name), LocalBuckets.Minute, 0, withPlaces: true))
        {
            foreach (var (key, fields) in series)
            {
                foreach (var field in fields.Where(field => field.Cells.Count > 0))
                    (from, to) = (Math.Min(from, field.Cells[0].Start), Math.Max(to, field.Cells[^1].Start));
                writer.Add(DeviceIds.Hash(BinaryPrimitives.ReadUInt16LittleEndian(key), key), key, fields);
            }

            BeforeStep.Value?.Invoke();
            if (writer.SeriesCount > 0)
                writer.Complete("{}"u8);
        }

        return from > to ? null : new StoredCells(name, from, to, day);
    }

    private void AppendDevices(IReadOnlyList<(ulong Hash, ushort Tenant)> devices)
    {
        if (devices.Count == _state.Devices)
            return;
        using var file = new FileStream(_devicesPath, FileMode.OpenOrCreate, FileAccess.Write);
        file.SetLength(_state.Devices * (long)DeviceBytes);
        file.Seek(0, SeekOrigin.End);
        var bytes = new byte[DeviceBytes];
        for (var i = _state.Devices; i < devices.Count; i++)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(bytes, devices[i].Hash);
            BinaryPrimitives.WriteUInt16LittleEndian(bytes.AsSpan(8), devices[i].Tenant);
            file.Write(bytes);
        }

        file.Flush(flushToDisk: true);
    }

    private void WritePresence(string name, Presence presence)
    {
        BeforeStep.Value?.Invoke();
        using var file = File.Create(Path.Combine(root, name));
        using (var brotli = new BrotliStream(file, CompressionLevel.Fastest, leaveOpen: true))
        {
            var head = new byte[8];
            foreach (var (start, bits) in presence.Quarters)
            {
                BinaryPrimitives.WriteUInt32LittleEndian(head, (uint)((start - LocalBuckets.Floor(start, Day)) / LocalBuckets.QuarterHour));
                BinaryPrimitives.WriteUInt32LittleEndian(head.AsSpan(4), (uint)bits.Length);
                brotli.Write(head);
                brotli.Write(MemoryMarshal.AsBytes(bits.AsSpan()));
            }
        }

        file.Flush(flushToDisk: true);
    }

    /// <exception cref="InvalidDataException">state.json is damaged or of a newer release.</exception>
    internal static GroupState Parse(byte[] bytes, string path)
    {
        GroupState? state;
        try
        {
            state = JsonSerializer.Deserialize(bytes, GroupJson.Default.GroupState);
        }
        catch (JsonException fault)
        {
            throw new InvalidDataException($"{path} is damaged: {fault.Message} Delete {Path.GetDirectoryName(path)}: trends are then made again from the log.", fault);
        }

        return state is { Version: Version } ? state : throw new InvalidDataException($"{path} has format version {state?.Version}; this release knows {Version}.");
    }

    /// <summary>
    /// What is missing or damaged is told and left out: it is less than the whole, which the log cannot give back for long.
    /// </summary>
    private GroupState WithoutDamaged(GroupState state, Action<string> openCells)
    {
        var devices = new FileInfo(_devicesPath);
        if (state.Devices > 0 && (!devices.Exists || devices.Length < state.Devices * (long)DeviceBytes))
        {
            // The bits of presence are theirs.
            RollupLog.TrendsDamaged(logger, _devicesPath, "is missing or short");
            state = state with { Devices = 0, Presence = [] };
        }

        return state with
        {
            Cells = state.Cells.FindAll(file => IsWhole(file.Name, openCells)),
            Presence = state.Presence.Where(day => IsWhole(day.Value, path => File.OpenRead(path).Dispose())).ToDictionary(),
        };
    }

    private static void ReadToTheEnd(string path)
    {
        using var file = new CellFileReader(path);
        foreach (var series in file.All())
            _ = series;
    }

    private bool IsWhole(string name, Action<string> open)
    {
        var path = Path.Combine(root, name);
        try
        {
            open(path);
            return true;
        }
        catch (Exception fault) when (fault is InvalidDataException or FileNotFoundException)
        {
            RollupLog.TrendsDamaged(logger, path, fault is FileNotFoundException ? "is missing" : "is damaged");
            return false;
        }
    }

    private void Replace(GroupState state)
    {
        BeforeStep.Value?.Invoke();
        using (var file = File.Create(_statePath + ".tmp"))
        {
            file.Write(JsonSerializer.SerializeToUtf8Bytes(state, GroupJson.Default.GroupState));
            file.Flush(flushToDisk: true);
        }

        File.Move(_statePath + ".tmp", _statePath, overwrite: true);
        var kept = state.Files.ToHashSet();
        var gone = _state.Files.Where(name => !kept.Contains(name)).ToList();
        _state = state;
        BeforeStep.Value?.Invoke();
        foreach (var name in gone)
            File.Delete(Path.Combine(root, name));
    }
}
