using System.Buffers;
using System.Globalization;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using Millrace.Parquet;

namespace Millrace.History.Archive;

/// <summary>
/// Writes the payload's JSON view of rows of one file. The members' names are prepared once, as columns of one object are neighbours
/// in the file. Hot: what has a rest that reaches into such an object goes the long way by <see cref="PayloadJoiner"/>.
/// </summary>
internal sealed class RowJson
{
    private static readonly SearchValues<byte> MustEscape =
        SearchValues.Create([.. Enumerable.Range(0, 0x20).Select(i => (byte)i), (byte)'"', (byte)'\\', 0x7F]);

    private readonly List<Field> _fields = [];
    private readonly ArrayBufferWriter<byte> _values = new(512);
    private readonly ParquetVector? _times;
    private readonly ParquetVector? _timeAs;
    private readonly ParquetVector? _rest;

    /// <param name="scan">Over all columns of a file, or over those whose members are wanted; with <c>time_as</c> the time too.</param>
    public RowJson(ParquetScan scan)
    {
        foreach (var vector in scan.Vectors)
        {
            switch (vector.Column.Name)
            {
                case HistoryFileWriter.RestColumn:
                    _rest = vector;
                    break;
                case TimeForm.ColumnName:
                    _timeAs = vector;
                    break;
                case HistoryFileWriter.TimeColumn:
                    _times = vector;
                    break;
                default:
                    if (!HistoryFileWriter.IsFixed(vector.Column.Name))
                        _fields.Add(new Field(vector));
                    break;
            }
        }
    }

    /// <summary>Whether a row has what no column holds.</summary>
    public bool HasRest(int row) => _rest is not null && !_rest.IsNull(row);

    public void Write(int row, IBufferWriter<byte> output)
    {
        var rest = _rest is null || _rest.IsNull(row) ? default : _rest.Bytes(row);
        if (rest.IsEmpty || !ReachesInside(row, rest))
        {
            WriteValues(row, rest, output);
            return;
        }

        _values.ResetWrittenCount();
        WriteValues(row, default, _values);
        if (_values.WrittenCount == 2)
            output.Write(rest); // Also how a payload that no column could hold comes back, byte for byte.
        else
            PayloadJoiner.Write(_values.WrittenSpan, rest, output);
    }

    private void WriteValues(int row, ReadOnlySpan<byte> rest, IBufferWriter<byte> output)
    {
        var place = new JsonPlace(output);
        if (_timeAs is not null && !_timeAs.IsNull(row))
        {
            Span<byte> member = stackalloc byte[TimeForm.MemberBytesMax];
            place.Name(member[..TimeForm.WriteMember(_timeAs.Bytes(row), _times!.Int64s[row] * HistoryFileWriter.UnitOf(_times.Column), member)]);
        }

        foreach (var field in _fields)
        {
            if (field.Vector.IsNull(row))
                continue;
            place.Enter(field.Objects);
            place.Name(field.Name);
            WriteValue(field.Vector, row, output);
        }

        place.Finish(rest);
    }

    /// <summary>Whether the rest may have members in an object that columns have members in; true also when that is not told easily.</summary>
    private bool ReachesInside(int row, ReadOnlySpan<byte> rest)
    {
        var any = _timeAs is not null && !_timeAs.IsNull(row);
        foreach (var field in _fields)
        {
            if (field.Vector.IsNull(row))
                continue;
            any = true;
            if (field.Objects.Length > 0 && rest.IndexOf(field.Objects[0].AsSpan(..^1)) >= 0)
                return true;
        }

        // Without values the rest is the payload itself, byte for byte; escapes may hide a name.
        return !any || rest.Contains((byte)'\\') || rest[0] != '{' || rest[^1] != '}';
    }

    private static void WriteValue(ParquetVector vector, int row, IBufferWriter<byte> output)
    {
        switch (vector.Column.Kind)
        {
            case ParquetKind.Double:
                WriteDouble(vector.Doubles[row], output);
                break;
            case ParquetKind.Boolean:
                output.Write(vector.Booleans[row] ? "true"u8 : "false"u8);
                break;
            case ParquetKind.Int64 or ParquetKind.Decimal:
                WriteExact(vector.Int64s[row], vector.Column.Scale, output);
                break;
            default:
                var text = vector.Bytes(row);
                output.Write("\""u8);
                output.Write(text.IndexOfAny(MustEscape) < 0 ? text : JsonEncodedText.Encode(text, JavaScriptEncoder.UnsafeRelaxedJsonEscaping).EncodedUtf8Bytes);
                output.Write("\""u8);
                break;
        }
    }

    private static void WriteDouble(double value, IBufferWriter<byte> output)
    {
        var room = output.GetSpan(32);
        int written;
        if (IsWhole(value, out var whole))
            whole.TryFormat(room, out written, default, CultureInfo.InvariantCulture);
        else
            value.TryFormat(room, out written, default, CultureInfo.InvariantCulture);
        output.Advance(written);
    }

    /// <summary>Whether a number was an integer, as far as its column can tell.</summary>
    public static bool IsWhole(double value, out long whole)
    {
        whole = (long)value;
        return whole == value && Math.Abs(value) <= 1L << 53 && (whole != 0 || !double.IsNegative(value));
    }

    public static void WriteExact(long unscaled, int scale, IBufferWriter<byte> output)
    {
        var room = output.GetSpan(48);
        var (whole, part) = Math.DivRem(Math.Abs(unscaled), (long)Math.Pow(10, scale));
        var at = 0;
        if (unscaled < 0)
            room[at++] = (byte)'-';
        whole.TryFormat(room[at..], out var written, default, CultureInfo.InvariantCulture);
        at += written;
        if (part != 0)
        {
            room[at++] = (byte)'.';
            for (var i = scale - 1; i >= 0; i--, part /= 10)
                room[at + i] = (byte)('0' + (part % 10));
            at += scale;
        }

        output.Advance(at);
    }

    /// <summary>A column with the objects around it, outermost first, and its own name, each as <c>"name":</c>.</summary>
    private sealed class Field
    {
        public Field(ParquetVector vector)
        {
            Vector = vector;
            var members = FieldNames.Split(vector.Column.Name);
            var names = Array.ConvertAll(members, member =>
            {
                var text = Encoding.UTF8.GetBytes(member);
                return text.AsSpan().IndexOfAny(MustEscape) < 0
                    ? [(byte)'"', .. text, (byte)'"', (byte)':']
                    : Encoding.UTF8.GetBytes($"\"{JsonEncodedText.Encode(member, JavaScriptEncoder.UnsafeRelaxedJsonEscaping)}\":");
            });
            (Objects, Name) = (names[..^1], names[^1]);
        }

        public ParquetVector Vector { get; }

        public byte[][] Objects { get; }

        public byte[] Name { get; }
    }

    /// <summary>Where one is in the object being written: which objects are open, and whether a comma is due.</summary>
    private ref struct JsonPlace(IBufferWriter<byte> output)
    {
        private byte[][] _open = [];
        private bool _begun;
        private bool _comma;

        public void Enter(byte[][] objects)
        {
            if (ReferenceEquals(objects, _open) && _begun)
                return;

            var common = 0;
            while (common < Math.Min(_open.Length, objects.Length) && _open[common].AsSpan().SequenceEqual(objects[common]))
                common++;
            Close(_open.Length - common);
            for (var i = common; i < objects.Length; i++)
            {
                Name(objects[i]);
                output.Write("{"u8);
                _comma = false;
            }

            _open = objects;
        }

        public void Name(scoped ReadOnlySpan<byte> name)
        {
            if (!_begun)
                output.Write("{"u8);
            else if (_comma)
                output.Write(","u8);
            output.Write(name);
            (_begun, _comma) = (true, true);
        }

        public void Finish(scoped ReadOnlySpan<byte> rest)
        {
            Close(_open.Length);
            if (!_begun)
                output.Write("{"u8);
            if (rest.Length > 2)
            {
                if (_comma)
                    output.Write(","u8);
                output.Write(rest[1..^1]);
            }

            output.Write("}"u8);
        }

        private void Close(int count)
        {
            for (; count > 0; count--)
            {
                output.Write("}"u8);
                _comma = true;
            }
        }
    }
}
