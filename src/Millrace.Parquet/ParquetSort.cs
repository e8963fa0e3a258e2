namespace Millrace.Parquet;

/// <summary>One of the columns that rows of a file are sorted by.</summary>
/// <param name="Column">Its place in the schema, from 0.</param>
/// <param name="Descending">Greatest first.</param>
/// <param name="NullsFirst">Rows without a value stand before the others.</param>
public readonly record struct ParquetSort(int Column, bool Descending = false, bool NullsFirst = false);
