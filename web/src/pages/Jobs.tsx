import { useState } from "preact/hooks";
import { type Activity, type JobSummary, call, explain, useLoad } from "../api";
import { count } from "../format";
import { useOverview } from "../live";
import { Icon } from "../parts/Icon";
import { Pill, Trouble } from "../parts/Messages";
import { Sparkline } from "../parts/Sparkline";
import { Table } from "../parts/Table";
import { useMay } from "../session";
import { text } from "../text";

const t = text.jobs;
const activityMs = 10_000;

/** The jobs with what they do; starting and stopping without leaving the list. */
export function JobsPage() {
  const overview = useOverview();
  const activity = useLoad<Activity>("/api/v1/activity", activityMs);
  const [problem, setProblem] = useState("");
  const mayOperate = useMay("operate");
  const jobs = overview?.jobs;
  const change = (job: JobSummary, action: "start" | "stop") =>
    call(`/api/v1/jobs/${encodeURIComponent(job.name)}/${action}`, "POST", {}).then(
      () => setProblem(""),
      (error) => setProblem(explain(error)),
    );
  return (
    <>
      <header>
        <div>
          <h1>{text.nav.jobs}</h1>
          <p class="muted">{t.lead}</p>
        </div>
        {mayOperate && (
          <a class="button primary" href="/jobs/new">
            <Icon name="plus" /> {t.create}
          </a>
        )}
      </header>
      <Trouble problem={problem} />
      <section class="card flush" aria-label={text.nav.jobs}>
        {jobs?.length === 0 && (
          <div class="empty">
            <p>{t.none}</p>
            {mayOperate && <a href="/jobs/new">{t.createFirst}</a>}
          </div>
        )}
        {jobs && jobs.length > 0 && (
          <Table
            label={text.nav.jobs}
            heads={[
              { label: t.name },
              { label: t.state },
              { label: t.rowsIn, num: true },
              { label: t.rowsOut, num: true },
              { label: t.bad, num: true },
              { label: t.lag, num: true },
              { label: t.throughput },
              { label: t.actions, hidden: true },
            ]}
          >
            {jobs.map((job) => (
              <tr key={job.name}>
                <td>
                  <a class="strong" href={`/jobs/${encodeURIComponent(job.name)}`}>
                    {job.name}
                  </a>
                  {job.lastError && <div class="bad-text small">{job.lastError}</div>}
                </td>
                <td>
                  <Pill state={job.state} />
                </td>
                <td class="num">{count(job.rowsIn)}</td>
                <td class="num">{count(job.rowsOut)}</td>
                <td class={`num ${job.bad > 0 ? "warn-text" : ""}`}>{count(job.bad)}</td>
                <td class="num">{count(job.lagReadings)}</td>
                <td class="spark-cell">
                  <Sparkline values={rates(activity.data?.jobs[job.name]?.rowsIn ?? [])} />
                </td>
                <td class="end">
                  {mayOperate && (
                    <button type="button" class="button small" onClick={() => void change(job, job.state === "stopped" || job.state === "failed" ? "start" : "stop")}>
                      <Icon name={job.state === "stopped" || job.state === "failed" ? "play" : "stop"} />
                      {job.state === "stopped" || job.state === "failed" ? t.start : t.stop}
                      <span class="visually-hidden"> {job.name}</span>
                    </button>
                  )}
                </td>
              </tr>
            ))}
          </Table>
        )}
      </section>
    </>
  );
}

/** Differences of a counter that may begin anew with a version. */
export function rates(totals: (number | null)[]): number[] {
  return totals.slice(1).map((now, i) => Math.max(0, (now ?? 0) - (totals[i] ?? now ?? 0)));
}
