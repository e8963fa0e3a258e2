using FsCheck;
using FsCheck.Fluent;

namespace Millrace.Codecs.Tests;

/// <summary>Random JSON texts with every construct of the grammar.</summary>
internal static class JsonGen
{
    public static Gen<string> Object(int depth) =>
        from names in Gen.Elements("id", "ts", "time", "a", "b", "long key with text", "\\u0061", "é", "", "app", "userdata", "payload", "gwrx").ListOf()
        from values in Value(depth).ListOf(Math.Max(1, names.Count))
        select "{" + string.Join(",", names.Zip(values, (n, v) => $"\"{n}\": {v}")) + "}";

    public static Gen<string> Number() => Gen.OneOf(
        Gen.Elements("0", "-0", "1e3", "1E+10", "2.50", "-17.001e-2", "123456789012345678901234567890", "1e400", "0.1000"),
        Gen.Choose(-100_000, 100_000).Select(n => n.ToString()),
        from whole in Gen.Choose(0, 99_999)
        from fraction in Gen.Choose(0, 999)
        select $"{whole}.{fraction:D3}");

    private static Gen<string> Value(int depth) => depth == 0
        ? Scalar()
        : Gen.Frequency(
            (4, Scalar()),
            (1, Object(depth - 1)),
            (1, Value(depth - 1).ListOf().Select(v => "[" + string.Join(" , ", v) + "]")));

    private static Gen<string> Scalar() => Gen.OneOf(
        Number(),
        Gen.Elements("true", "false", "null"),
        Gen.Elements("", "text", "\\\"", "\\\\", "\\u00e9", "\\ud83d\\ude00", "\\ud83d", "\\n", "ünïcødé", "😀", "AgEA", "2026-01-15").Select(t => $"\"{t}\""));
}
