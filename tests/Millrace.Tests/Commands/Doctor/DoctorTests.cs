using System.Net;
using System.Net.Sockets;
using Millrace.Commands.Doctor;
using Millrace.Settings;
using Millrace.Testing;

namespace Millrace.Tests.Commands.Doctor;

public class DoctorTests
{
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_taken_port_fails_and_names_the_setting(bool udp)
    {
        using var holder = udp
            ? new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp)
            : new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        holder.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        if (!udp)
            holder.Listen();

        var finding = NetworkChecks.Port("it", "Some:Endpoint", (IPEndPoint)holder.LocalEndPoint!, udp);

        Assert.Equal(Verdict.Fail, finding.Verdict);
        Assert.Contains("taken", finding.Text);
        Assert.Contains("Some:Endpoint", finding.Mend);
    }

    [Fact]
    public void A_folder_in_use_fails_and_names_the_holder()
    {
        using var folder = new TempFolder();
        using var held = DataFolder.Open(folder["data"]);

        var finding = DataFolderChecks.Permissions(folder["data"]).First();

        Assert.Equal(Verdict.Fail, finding.Verdict);
        Assert.Contains($"in use by process {Environment.ProcessId}", finding.Text);
    }

    [Fact]
    public void A_folder_that_is_not_there_is_not_left_behind()
    {
        using var folder = new TempFolder();

        Assert.All(DataFolderChecks.Permissions(folder["a/b/c"]), finding => Assert.Equal(Verdict.Ok, finding.Verdict));

        Assert.False(Directory.Exists(folder["a"]));
    }

    [Fact]
    public void The_disk_is_measured_and_nothing_left_behind()
    {
        using var folder = new TempFolder();

        var findings = DataFolderChecks.Disk(folder.Path, reserveBytes: 1).ToList();

        Assert.Contains(findings, finding => finding.Text.Contains("MB/s"));
        Assert.Contains(findings, finding => finding.Text.Contains("ms median"));
        Assert.Empty(Directory.GetFileSystemEntries(folder.Path));
    }

    [Fact]
    public void Too_little_space_fails()
    {
        using var folder = new TempFolder();

        Assert.Equal(Verdict.Fail, DataFolderChecks.Disk(folder.Path, reserveBytes: long.MaxValue / 8).First().Verdict);
    }

    [Fact]
    public void Too_few_files_for_the_connections_is_a_warning_with_the_remedy()
    {
        var finding = MachineChecks.OpenFiles(connectionsMax: long.MaxValue / 2).SingleOrDefault();

        if (finding is null or { Text: "at most unlimited" })
            Assert.Skip("this system has no limit of open files to read");
        Assert.Equal(Verdict.Warn, finding.Verdict);
        Assert.Contains("LimitNOFILE", finding.Mend);
    }
}
