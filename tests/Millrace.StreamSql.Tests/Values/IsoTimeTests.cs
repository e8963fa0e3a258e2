using System.Globalization;
using System.Text;
using Millrace.StreamSql.Values;

namespace Millrace.StreamSql.Tests.Values;

public sealed class IsoTimeTests
{
    [Fact]
    public void Times_are_read_as_the_runtime_reads_them_with_any_number_of_digits()
    {
        var random = new Random(1);
        for (var round = 0; round < 20_000; round++)
        {
            var time = new DateTime(random.NextInt64(DateTime.MaxValue.Ticks), DateTimeKind.Utc);
            var digits = random.Next(8);
            var form = "yyyy-MM-ddTHH:mm:ss" + (digits == 0 ? "" : "." + new string('f', digits)) + (random.Next(3) == 0 ? "+00:00" : "Z");
            form = form.Replace("Z", "\\Z", StringComparison.Ordinal);
            var text = time.ToString(form, CultureInfo.InvariantCulture);
            Assert.True(IsoTime.TryParse(Encoding.ASCII.GetBytes(text), out var ticks), text);
            Assert.Equal(DateTime.Parse(text, CultureInfo.InvariantCulture, DateTimeStyles.AdjustToUniversal).Ticks, ticks);
        }
    }

    [Fact]
    public void One_wrong_character_anywhere_is_noticed()
    {
        const string right = "2026-02-28T23:59:59.1234567Z";
        for (var place = 0; place < right.Length; place++)
        {
            for (var value = ' '; value < 127; value++)
            {
                var text = right[..place] + value + right[(place + 1)..];
                var expected = DateTime.TryParseExact(
                    text, "yyyy-MM-ddTHH:mm:ss.fffffff\\Z", CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal | DateTimeStyles.AdjustToUniversal, out var time);

                // Other forms of the language: a blank or t for T, z for Z, fewer digits before a zone are not in reach of one character.
                expected |= (place == 10 && value is ' ' or 't') || (place == 27 && value == 'z');
                if (place == 10 || (place == 27 && value == 'z'))
                    time = new DateTime(2026, 2, 28, 23, 59, 59, DateTimeKind.Utc).AddTicks(1_234_567);
                var found = IsoTime.TryParse(Encoding.ASCII.GetBytes(text), out var ticks);

                // A further digit in place of the Z has no zone: still UTC, cut to seven digits.
                if (place == 27 && char.IsAsciiDigit(value))
                    continue;
                Assert.True(found == expected, text);
                if (found)
                    Assert.Equal(time.Ticks, ticks);
            }
        }
    }
}
