using System.Text;
using Microsoft.Extensions.Logging.Abstractions;
using Millrace.Core;
using Millrace.Processing.Enrolling;
using Millrace.Processing.Latest;
using Millrace.Testing;

namespace Millrace.Processing.Tests.Enrolling;

public sealed class AdmissionTests : IDisposable
{
    private const long T0 = 1_700_000_000_000_000;
    private const long Far = 10_000_000;

    private readonly TempFolder _folder = new();
    private readonly ManualTime _time = new();
    private readonly MemoryLog _log = new(1);
    private DeviceTable? _table;
    private long _sequence;

    public void Dispose()
    {
        _table?.Dispose();
        _folder.Dispose();
    }

    [Fact]
    public void Open_enrolment_admits_anybody_while_the_limit_is_far() =>
        Assert.Equal(RejectReason.None, Admit(Admission(Far), "anybody"));

    [Fact]
    public void Registered_enrolment_admits_only_devices_that_were_added()
    {
        var admission = Admission(Far, Enrolment.Registered);
        _table!.Ensure(0, "known"u8, blocked: false);

        Assert.Equal(RejectReason.None, Admit(admission, "known"));
        Assert.Equal(RejectReason.UnknownDevice, Admit(admission, "unknown"));
    }

    [Fact]
    public void A_blocked_device_is_refused_until_it_is_added_again()
    {
        var admission = Admission(Far);
        _table!.Ensure(0, "a"u8, blocked: true);
        Assert.Equal(RejectReason.DeviceBlocked, Admit(admission, "a"));
        Assert.Equal(RejectReason.None, Admit(admission, "b"));

        _table.Ensure(0, "a"u8, blocked: false);
        Assert.Equal(RejectReason.None, Admit(admission, "a"));
    }

    [Fact]
    public void A_device_token_sends_for_its_own_device_only()
    {
        var admission = Admission(Far);
        var sender = new Sender(0, true, Encoding.ASCII.GetBytes("a"));

        Assert.Equal(RejectReason.None, admission.Admit(sender, "a"u8));
        Assert.Equal(RejectReason.NotAllowed, admission.Admit(sender, "b"u8));
    }

    [Fact]
    public void Distinct_junk_ids_in_flight_cannot_overrun_the_limit()
    {
        var admission = Admission(max: 100);

        // None of them reaches the table meanwhile: all are in flight.
        var admitted = Enumerable.Range(0, 10_000).Count(i => Admit(admission, $"junk{i}") == RejectReason.None);

        Assert.Equal(100, admitted);
        Assert.Equal(RejectReason.None, Admit(admission, "junk7"));
        Assert.Equal(RejectReason.EnrolmentLimit, Admit(admission, "junk100"));
    }

    [Fact]
    public void Known_devices_are_admitted_at_the_limit()
    {
        var admission = Admission(max: 2);
        Arrive("a");
        Arrive("b");

        Assert.Equal(RejectReason.None, Admit(admission, "a"));
        Assert.Equal(RejectReason.EnrolmentLimit, Admit(admission, "c"));
    }

    [Fact]
    public void An_admitted_id_that_arrived_counts_once()
    {
        var admission = Admission(max: 3);
        foreach (var id in (string[])["a", "b"])
        {
            Assert.Equal(RejectReason.None, Admit(admission, id));
            Arrive(id);
        }

        Assert.Equal(RejectReason.None, Admit(admission, "c"));
        Assert.Equal(RejectReason.EnrolmentLimit, Admit(admission, "d"));
    }

    [Fact]
    public void An_admitted_id_that_never_arrived_gives_its_place_back()
    {
        var admission = Admission(max: 1);
        Assert.Equal(RejectReason.None, Admit(admission, "refused-by-the-log"));
        Assert.Equal(RejectReason.EnrolmentLimit, Admit(admission, "b"));

        _time.Advance(TimeSpan.FromMinutes(2));

        Assert.Equal(RejectReason.None, Admit(admission, "b"));
    }

    [Fact]
    public void A_device_gets_its_rate_and_a_seconds_worth_at_once()
    {
        var admission = Admission(Far, readingsPerSecond: 10);

        Assert.Equal(10, Enumerable.Range(0, 50).Count(_ => Admit(admission, "a") == RejectReason.None));
        Assert.Equal(RejectReason.RateLimited, Admit(admission, "a"));
        Assert.Equal(RejectReason.None, Admit(admission, "b"));

        _time.Advance(TimeSpan.FromMilliseconds(500));
        Assert.Equal(5, Enumerable.Range(0, 50).Count(_ => Admit(admission, "a") == RejectReason.None));
    }

    [Fact]
    public void A_rate_below_one_a_second_lets_one_through_at_a_time()
    {
        var admission = Admission(Far, readingsPerSecond: 0.1);

        Assert.Equal(1, Enumerable.Range(0, 5).Count(_ => Admit(admission, "a") == RejectReason.None));
        _time.Advance(TimeSpan.FromSeconds(10));
        Assert.Equal(1, Enumerable.Range(0, 5).Count(_ => Admit(admission, "a") == RejectReason.None));
    }

    [Fact]
    public void Admitting_allocates_nothing()
    {
        var admission = Admission(Far);
        for (var i = 0; i < 5000; i++)
            admission.Admit(Sender.Anonymous, "m1"u8);

        var before = GC.GetAllocatedBytesForCurrentThread();
        for (var i = 0; i < 1000; i++)
            admission.Admit(Sender.Anonymous, "m1"u8);
        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());
    }

    private Admission Admission(long max, Enrolment enrolment = Enrolment.Open, double readingsPerSecond = 0)
    {
        _table = new DeviceTable(1, max);
        var latest = new LatestValueView(_table, _folder.Path, _time, NullLogger<LatestValueView>.Instance);
        return new Admission(
            _table, _log, latest, [], new AdmissionOptions { Enrolment = enrolment, ReadingsPerSecond = readingsPerSecond }, _time);
    }

    private static RejectReason Admit(Admission admission, string id) => admission.Admit(Sender.Anonymous, Encoding.UTF8.GetBytes(id));

    private void Arrive(string id)
    {
        _table!.Apply(Blocks.Of(0, _sequence, T0 + _sequence, (id, Micros.None, "1")));
        _sequence++;
    }
}
