using System.Globalization;
using Millrace.Core;
using Millrace.Log.Format;

namespace Millrace.Log.Segments;

/// <summary>One file of the journal. Everything but its durable length is fixed.</summary>
internal sealed class Segment(string path, long basePosition, long startReceivedAt, long createdAt, PositionVector start, long length)
{
    public const string Extension = ".segment";
    public const string IndexExtension = ".index";
    public const string NewExtension = ".new";

    private long _length = length;

    public string Path { get; } = path;

    public string IndexPath => System.IO.Path.ChangeExtension(Path, IndexExtension);

    /// <summary>Journal position of the file's first byte.</summary>
    public long Base { get; } = basePosition;

    /// <summary>The last stamp given before this segment.</summary>
    public long StartReceivedAt { get; } = startReceivedAt;

    public long CreatedAt { get; } = createdAt;

    /// <summary>Per partition the first sequence not used before this segment.</summary>
    public PositionVector Start { get; } = start;

    /// <summary>Bytes of the file that are durable; final once a successor exists.</summary>
    public long Length
    {
        get => Volatile.Read(ref _length);
        set => Volatile.Write(ref _length, value);
    }

    public long End => Base + Length;

    public bool IsEmpty => Length <= SegmentHeader.Bytes;

    public static string NameOf(long basePosition) => basePosition.ToString("D20", CultureInfo.InvariantCulture) + Extension;

    public static bool TryParseName(string name, out long basePosition)
    {
        basePosition = 0;
        return name.EndsWith(Extension, StringComparison.Ordinal)
            && name.Length == 20 + Extension.Length
            && long.TryParse(name.AsSpan(0, 20), NumberStyles.None, CultureInfo.InvariantCulture, out basePosition);
    }
}
