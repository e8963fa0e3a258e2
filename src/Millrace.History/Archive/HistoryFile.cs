using Millrace.Parquet;

namespace Millrace.History.Archive;

/// <summary>Opens a file of the history. Parquet of another shape may lie under its name: then it is as damaged as any.</summary>
internal static class HistoryFile
{
    private static readonly (string Name, ParquetKind[] Kinds)[] Fixed =
    [
        ("device", [ParquetKind.String]),
        ("time", [ParquetKind.TimestampMicros, ParquetKind.TimestampMillis]),
        ("received_at", [ParquetKind.TimestampMicros]),
        ("partition", [ParquetKind.Int32]),
        ("sequence", [ParquetKind.Int64]),
    ];

    /// <exception cref="ParquetFormatException">It is no whole file of the history.</exception>
    /// <exception cref="FileNotFoundException">It is not there.</exception>
    public static ParquetReader Open(IHistoryStore store, string name)
    {
        var reader = ParquetReader.Open(store.Open(name));
        if (HasColumns(reader))
            return reader;

        reader.Dispose();
        throw new ParquetFormatException($"{store.Name}/{name}: not a file of the history, its columns are others");
    }

    public static bool HasColumns(ParquetReader reader)
    {
        if (!reader.Metadata.TryGetValue(HistoryFileWriter.SchemaKey, out var schema) || schema != HistoryFileWriter.Schema || reader.Columns.Count < Fixed.Length)
            return false;
        for (var i = 0; i < Fixed.Length; i++)
        {
            if (reader.Columns[i].Name != Fixed[i].Name || !Fixed[i].Kinds.Contains(reader.Columns[i].Kind) || reader.Columns[i].IsNullable)
                return false;
        }

        return true;
    }
}
