using System.Text;
using Millrace.StreamSql.State;

namespace Millrace.StreamSql.Tests.State;

public sealed class KeyOrderTests
{
    [Theory]
    [InlineData(3)]
    [InlineData(600)]
    [InlineData(5000)]
    public void Keys_come_in_the_order_of_their_bytes(int count)
    {
        var random = new Random(count);
        foreach (var form in new Func<string>[] { () => $"meter-{random.Next(1_000_000):d6}", () => $"k{random.Next()}", () => new string((char)('a' + random.Next(3)), random.Next(20)) + random.Next(99) })
        {
            List<KeyMap> maps = [new KeyMap(), new KeyMap(), new KeyMap()];
            var keys = new HashSet<string>();
            while (keys.Count < count)
            {
                var key = form();
                if (!keys.Add(key))
                    continue;
                var bytes = Encoding.ASCII.GetBytes(key);
                maps[random.Next(maps.Count)].GetOrAdd(bytes, KeyMap.HashOf(bytes), out _);
            }

            var sorted = new List<string>();
            foreach (var item in new KeyOrder().Sort(maps))
                sorted.Add(Encoding.ASCII.GetString(maps[KeyOrder.MapOf(item)].KeyAtPlace(KeyOrder.PlaceOf(item))));

            Assert.Equal(keys.Order(StringComparer.Ordinal), sorted);
        }
    }
}
