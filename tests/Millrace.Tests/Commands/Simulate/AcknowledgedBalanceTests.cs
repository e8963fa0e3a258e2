using System.Text;
using Millrace.Commands.Simulate;

namespace Millrace.Tests.Commands.Simulate;

public class AcknowledgedBalanceTests
{
    private const string Dump = """
        {"partition":0,"sequence":0,"id":"a","time":"t","receivedAt":"t","listener":"tcp","payload":{"value":1.5}}
        {"partition":0,"sequence":1,"id":"b","time":"t","receivedAt":"t","listener":"tcp","payload":{"value":2.5}}
        {"partition":3,"sequence":7,"id":"c","time":"t","receivedAt":"t","listener":"http","payload":{"id":"c","n":9,"used":1}}

        """;

    private static Task<AcknowledgedBalance> CompareAsync(string acknowledged, string dump = Dump) => AcknowledgedBalance.CompareAsync(
        new MemoryStream(Encoding.UTF8.GetBytes(acknowledged)), new MemoryStream(Encoding.UTF8.GetBytes(dump)), CancellationToken.None);

    [Fact]
    public async Task Balances_when_every_acknowledged_reading_is_at_its_position()
    {
        var balance = await CompareAsync("0:0 a 1500\n3:7 c 9\n");

        Assert.True(balance.IsGood, balance.ToString());
        Assert.Equal((2, 2, 3, 1), (balance.Acknowledged, balance.Found, balance.Stored, balance.StoredUnacknowledged));
    }

    [Fact]
    public async Task Names_an_acknowledged_reading_that_is_not_in_the_log()
    {
        var balance = await CompareAsync("0:0 a 1500\n0:2 a 1600\n");

        Assert.Equal(1, balance.Missing);
        Assert.Contains("acknowledged and not in the log: 0:2", balance.Examples);
    }

    [Theory]
    [InlineData("0:0 a 1501\n")]
    [InlineData("0:0 x 1500\n")]
    public async Task Another_reading_at_the_position_is_a_fault(string acknowledged)
    {
        var balance = await CompareAsync(acknowledged);

        Assert.Equal((1, 1), (balance.Faults, balance.Missing));
    }

    [Fact]
    public async Task A_position_given_twice_is_a_fault() => Assert.Equal(1, (await CompareAsync("0:0 a 1500\n0:0 a 1500\n")).Faults);

    [Fact]
    public async Task A_gap_in_the_sequences_is_a_fault()
    {
        var balance = await CompareAsync("", Dump.Replace("\"sequence\":1", "\"sequence\":2", StringComparison.Ordinal));

        Assert.Equal(1, balance.Faults);
    }

    [Fact]
    public async Task Answers_without_position_are_found_as_often_as_they_were_given()
    {
        Assert.True((await CompareAsync("- c 9\n")).IsGood);
        Assert.Equal(1, (await CompareAsync("- c 9\n- c 9\n")).Missing);
    }
}
