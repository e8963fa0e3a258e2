using Millrace.Core;
using Millrace.Jobs;
using Millrace.Jobs.Running;

namespace Millrace.Web.Metrics;

/// <summary>The jobs and their outputs as Prometheus reads them.</summary>
internal static class JobSeries
{
    public static IReadOnlyList<string> Names { get; } =
    [
        "millrace_job_readings_total", "millrace_job_rows_total", "millrace_job_events_total", "millrace_job_lag_readings",
        "millrace_job_watermark_age_seconds", "millrace_job_state", "millrace_job_memory_bytes", "millrace_output_pending_rows",
        "millrace_output_failures_total", "millrace_output_up",
    ];

    public static void Write(ExpositionText text, IReadOnlyList<JobInfo> jobs, long now)
    {
        if (jobs.Count == 0)
            return;
        PerJob(text, jobs, Names[0], "counter", "Readings a job has taken.", s => s.RowsIn);
        text.Begin(Names[1], "counter", "Rows a job's version has emitted, by output.");
        foreach (var (job, output) in jobs.SelectMany(j => j.Status.Outputs.Where(o => !o.IsNotification).Select(o => (j, o))))
            text.Sample(Names[1], Output(job, output), output.Rows);
        text.Begin(Names[2], "counter", "Events a query could not evaluate (bad), or that came late, early or out of order.");
        foreach (var job in jobs)
        {
            text.Sample(Names[2], $"{Job(job)},kind=\"bad\"", job.Status.Bad);
            text.Sample(Names[2], $"{Job(job)},kind=\"late\"", job.Status.Late);
            text.Sample(Names[2], $"{Job(job)},kind=\"early\"", job.Status.Early);
            text.Sample(Names[2], $"{Job(job)},kind=\"out_of_order\"", job.Status.OutOfOrder);
        }

        PerJob(text, jobs, Names[3], "gauge", "Durable readings a job has not taken yet.", s => s.LagReadings);
        text.Begin(Names[4], "gauge", "How far a job's watermark is behind the clock.");
        foreach (var job in jobs.Where(j => j.Status.Watermark is not null))
            text.Sample(Names[4], Job(job), (now - job.Status.Watermark!.Value) / (double)Micros.PerSecond);
        text.Begin(Names[5], "gauge", "1 for the state a job is in.");
        foreach (var job in jobs)
        {
            foreach (var state in Enum.GetValues<JobState>())
                text.Sample(Names[5], $"{Job(job)},state=\"{state.ToString().ToLowerInvariant()}\"", job.Status.State == state ? 1L : 0L);
        }

        PerJob(text, jobs, Names[6], "gauge", "State a job holds.", s => s.MemoryBytes);
        PerOutput(text, jobs, Names[7], "gauge", "Rows that wait for their target.", d => d.PendingRows);
        PerOutput(text, jobs, Names[8], "counter", "Attempts to deliver that failed since the job's last start.", d => d.FailuresInAll);
        PerOutput(text, jobs, Names[9], "gauge", "1 when the last attempt to deliver succeeded, or none was needed.", d => d.Failures == 0 ? 1 : 0);
    }

    private static void PerJob(ExpositionText text, IReadOnlyList<JobInfo> jobs, string name, string type, string help, Func<JobStatus, long> value)
    {
        text.Begin(name, type, help);
        foreach (var job in jobs)
            text.Sample(name, Job(job), value(job.Status));
    }

    private static void PerOutput(
        ExpositionText text, IReadOnlyList<JobInfo> jobs, string name, string type, string help, Func<Outputs.Delivery.OutputStatus, long> value)
    {
        text.Begin(name, type, help);
        foreach (var job in jobs)
        {
            foreach (var output in job.Status.Outputs.Where(o => o.Delivery is not null))
                text.Sample(name, Output(job, output), value(output.Delivery!));
        }
    }

    private static string Job(JobInfo job) => $"job=\"{ExpositionText.Escape(job.Name)}\"";

    private static string Output(JobInfo job, JobOutputStatus output) => $"{Job(job)},output=\"{ExpositionText.Escape(output.Name)}\"";
}
