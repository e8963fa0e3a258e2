namespace Millrace.History.Archive;

/// <summary>One value of a payload that has a column: a number's or flag's bits, or where its text lies in the store.</summary>
internal readonly record struct PayloadCell(int Column, int TextLength, long Bits)
{
    public double Double => BitConverter.Int64BitsToDouble(Bits);
}

/// <summary>Values and texts of many readings, one behind the other, kept for reuse. Hot.</summary>
internal sealed class PayloadCells
{
    private PayloadCell[] _cells = new PayloadCell[16 << 10];
    private byte[] _texts = new byte[256 << 10];

    public int CellCount { get; private set; }

    public int TextLength { get; private set; }

    /// <summary>What is held, in bytes.</summary>
    public int Bytes => (CellCount * 16) + TextLength;

    public ReadOnlySpan<PayloadCell> Cells(int start, int end) => _cells.AsSpan(start, end - start);

    public ReadOnlySpan<byte> Text(long start, int length) => _texts.AsSpan((int)start, length);

    public void Add(int column, long bits)
    {
        if (CellCount == _cells.Length)
            Array.Resize(ref _cells, CellCount * 2);
        _cells[CellCount++] = new PayloadCell(column, 0, bits);
    }

    public void Add(int column, ReadOnlySpan<byte> text)
    {
        if (CellCount == _cells.Length)
            Array.Resize(ref _cells, CellCount * 2);
        _cells[CellCount++] = new PayloadCell(column, text.Length, TextLength);
        Write(text);
    }

    public void Write(ReadOnlySpan<byte> text)
    {
        if (_texts.Length - TextLength < text.Length)
            Array.Resize(ref _texts, (int)Math.Min(Array.MaxLength, Math.Max(_texts.Length * 2L, (long)TextLength + text.Length)));
        text.CopyTo(_texts.AsSpan(TextLength));
        TextLength += text.Length;
    }

    /// <summary>Steps back to what was there before.</summary>
    public void Truncate(int cells, int texts) => (CellCount, TextLength) = (cells, texts);
}
