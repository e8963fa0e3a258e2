using Millrace.Core;
using Millrace.Settings;
using Millrace.Testing;

namespace Millrace.Tests.Settings;

public sealed class DataFolderTests
{
    [Fact]
    public void A_second_holder_is_told_who_has_the_folder()
    {
        using var temp = new TempFolder();
        using var held = DataFolder.Open(temp["data"]);

        var error = Assert.Throws<StartException>(() => DataFolder.Open(temp["data"]));

        Assert.Contains($"process {Environment.ProcessId} on", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_released_folder_opens_again()
    {
        using var temp = new TempFolder();
        DataFolder.Open(temp["data"]).Dispose();
        using var again = DataFolder.Open(temp["data"]);
        Assert.True(Directory.Exists(again.Log));
    }

    [Fact]
    public void A_version_that_a_power_cut_left_empty_does_not_lock_the_folder_up()
    {
        using var temp = new TempFolder();
        DataFolder.Open(temp["data"]).Dispose();
        File.WriteAllBytes(temp["data/version"], []);

        using var again = DataFolder.Open(temp["data"]);

        Assert.Equal($"{DataFolder.Version}\n", File.ReadAllText(temp["data/version"]));
    }

    [Fact]
    public void A_newer_folder_is_refused_and_left_alone()
    {
        using var temp = new TempFolder();
        Directory.CreateDirectory(temp["data"]);
        File.WriteAllText(temp["data/version"], "999\n");

        var error = Assert.Throws<StartException>(() => DataFolder.Open(temp["data"]));

        Assert.Contains("newer release", error.Message, StringComparison.Ordinal);
        Assert.Equal("999\n", File.ReadAllText(temp["data/version"]));
    }
}
