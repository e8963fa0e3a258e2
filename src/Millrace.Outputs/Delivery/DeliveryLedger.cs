using System.Text.Json;

namespace Millrace.Outputs.Delivery;

/// <summary>
/// What a target that cannot tell was given: the highest row it took, and the batch that is under way. The batch is recorded
/// before its first attempt, so after a crash the very same rows go out again under the very same key.
/// </summary>
public sealed class DeliveryLedger
{
    private readonly string _path;

    private DeliveryLedger(string path) => _path = path;

    /// <summary>The highest row the target took.</summary>
    public RowId Held { get; private set; } = RowId.None;

    /// <summary>First and last row of the batch that was begun and not yet finished, or null.</summary>
    public (RowId First, RowId Last)? Open { get; private set; }

    private sealed record Entry(int HeldVersion, long HeldRow, int FirstVersion, long FirstRow, int LastVersion, long LastRow);

    public static DeliveryLedger Load(string path)
    {
        var ledger = new DeliveryLedger(path);
        if (!File.Exists(path))
            return ledger;
        var entry = JsonSerializer.Deserialize<Entry>(File.ReadAllBytes(path))
            ?? throw new OutputException($"{path} is empty; restore it, or remove it to deliver from the oldest waiting row");
        ledger.Held = new RowId(entry.HeldVersion, entry.HeldRow);
        if (entry.FirstVersion > 0)
            ledger.Open = (new RowId(entry.FirstVersion, entry.FirstRow), new RowId(entry.LastVersion, entry.LastRow));
        return ledger;
    }

    public void Begin(RowId first, RowId last)
    {
        Open = (first, last);
        Save();
    }

    public void Finish(RowId last)
    {
        Held = last;
        Open = null;
        Save();
    }

    private void Save()
    {
        var (first, last) = Open ?? (new RowId(0, 0), new RowId(0, 0));
        AtomicFile.Write(_path, JsonSerializer.SerializeToUtf8Bytes(
            new Entry(Held.Version, Held.Row, first.Version, first.Row, last.Version, last.Row)));
    }
}
