using System.Globalization;
using System.Text;
using Millrace.StreamSql.Values;

namespace Millrace.StreamSql.Tests.Values;

public sealed class DoubleTextTests
{
    private static void AssertAsTheRuntime(double value)
    {
        Span<byte> text = stackalloc byte[DoubleText.LengthMax];
        var length = DoubleText.Write(value, text);
        var expected = value.ToString("R", CultureInfo.InvariantCulture);
        if (!Encoding.ASCII.GetBytes(expected).AsSpan().SequenceEqual(text[..length]))
            Assert.Equal(expected, Encoding.ASCII.GetString(text[..length]));
    }

    [Fact]
    public void Any_double_is_written_as_the_runtime_writes_it()
    {
        var random = new Random(1);
        for (var round = 0; round < 500_000; round++)
        {
            var value = BitConverter.Int64BitsToDouble(random.NextInt64(long.MinValue, long.MaxValue));
            if (double.IsFinite(value))
                AssertAsTheRuntime(value);
            AssertAsTheRuntime((random.NextDouble() - 0.5) * Math.Pow(10, random.Next(-6, 17)));
            AssertAsTheRuntime(Math.Round(random.NextDouble() * 1000, random.Next(0, 8)));
            AssertAsTheRuntime(random.Next(1000) / (double)random.Next(1, 50));
        }
    }

    [Fact]
    public void Borders_of_the_forms_are_written_as_the_runtime_writes_them()
    {
        double[] borders = [0, -0.0, 1, -1, 1e-4, 1e-5, 1e14, 1e15, 1e16, 0.001, 0.0005, 0.1, 0.3, 999_999_999_999.9995, 123_456_789_012_345, double.MaxValue, double.Epsilon];
        foreach (var border in borders)
        {
            AssertAsTheRuntime(border);
            AssertAsTheRuntime(Math.BitDecrement(border));
            AssertAsTheRuntime(Math.BitIncrement(border));
        }

        // At powers of two the interval is not symmetric.
        for (var exponent = -20; exponent < 60; exponent++)
        {
            AssertAsTheRuntime(Math.Pow(2, exponent));
            AssertAsTheRuntime(Math.BitDecrement(Math.Pow(2, exponent)));
            AssertAsTheRuntime(Math.BitIncrement(Math.Pow(2, exponent)));
        }
    }
}
