using Millrace.StreamSql.Values;

namespace Millrace.StreamSql.Tests.Values;

public sealed class KeyHashTests
{
    /// <summary>Snapshots hold hashes, and shards are chosen by them: they never change.</summary>
    [Theory]
    [InlineData(0, 0xBEB124275D76700EUL)]
    [InlineData(1, 0x2220DC40A2606D13UL)]
    [InlineData(7, 0xD679A2E5ADCD72D1UL)]
    [InlineData(8, 0x116D9F5D0B406651UL)]
    [InlineData(9, 0xAC1A902860B728B7UL)]
    [InlineData(15, 0x65603D8D3A551A0AUL)]
    [InlineData(16, 0xBC1B2897FC6DCBCDUL)]
    [InlineData(31, 0x9BC65C91A33C8508UL)]
    public void A_key_has_the_same_hash_for_ever(int length, ulong hash)
    {
        byte[] key = [.. Enumerable.Range(0, length).Select(i => (byte)((i * 37) + 11))];

        Assert.Equal(hash, KeyWriter.Hash(key));
    }
}
