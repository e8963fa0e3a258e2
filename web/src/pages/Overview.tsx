import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { type Activity, type Books, type JobSummary, type Overview, type Status, call, severities, total, useLoad } from "../api";
import { bytes, count, percent, span } from "../format";
import { watchOverview } from "../live";
import { Pill } from "../parts/Messages";
import { Snippet } from "../parts/Snippet";
import { Sparkline } from "../parts/Sparkline";
import { Ago } from "../parts/Time";
import { text } from "../text";

const t = text.overview;
const sparkLength = 180;
const statusMs = 10_000;

export function OverviewPage({ status: given }: { status: Status | null }) {
  const [overview, setOverview] = useState<Overview | null>(null);
  const rates = useRef<number[]>([]);
  const lags = useRef<number[]>([]);
  const { data: asked } = useLoad<Status>("/api/v1/status", statusMs);
  const status = asked ?? given;

  useEffect(() => {
    // What happened before the page was opened, so that the curves do not begin empty.
    call<Activity>("/api/v1/activity").then(
      (activity) => {
        const before = activity.stored.slice(1).map((n, i) => Math.max(0, n - activity.stored[i]!) / activity.stepSeconds);
        rates.current = [...before, ...rates.current].slice(-sparkLength);
        lags.current = [...activity.lagReadings.slice(1), ...lags.current].slice(-sparkLength);
      },
      () => {},
    );
    return watchOverview((_, next) => {
      if (!next) return;
      rates.current = [...rates.current, rateOf(next)].slice(-sparkLength);
      lags.current = [...lags.current, lagOf(next)].slice(-sparkLength);
      setOverview(next);
    });
  }, []);

  const stored = overview?.listeners.reduce((sum, l) => sum + l.stored, 0) ?? 0;
  const isEmpty = overview !== null && overview.devices === 0 && stored === 0;
  return (
    <>
      <header>
        <h1>{t.title}</h1>
        {overview && <Pill state={overview.log} label={`${t.log}: ${text.states[overview.log] ?? overview.log}`} />}
      </header>
      {isEmpty && <FirstReading status={status} />}
      <section class="grid stats" aria-label={t.title}>
        <Stat label={t.rate} value={overview ? count(Math.round(rateOf(overview))) : "–"} unit={text.perSecond} note={t.storedSince(count(stored))}>
          <Sparkline values={rates.current} />
        </Stat>
        <Devices overview={overview} active={status?.heardLastHour} />
        <Alerts overview={overview} />
        <Stat label={t.lag} value={overview ? count(lagOf(overview)) : "–"} unit={t.readings} note={t.lagNote}>
          <Sparkline values={lags.current} />
        </Stat>
        <Disk status={status} />
      </section>
      <section class="card flush">
        <div class="card-head padded">
          <h2>{t.listeners}</h2>
          <span class="muted small">{t.balance}</span>
        </div>
        <div class="scroll-x" tabIndex={0} role="region" aria-label={t.listeners}>
          <ListenerTable books={overview?.listeners ?? []} endpoints={status?.endpoints ?? {}} />
        </div>
      </section>
      <div class="grid wide">
        <Jobs jobs={overview?.jobs} />
        <section class="card flush">
          <div class="card-head padded">
            <h2>{t.views}</h2>
          </div>
          <table>
            <thead>
              <tr>
                <th scope="col">{t.view}</th>
                <th scope="col">{t.state}</th>
                <th scope="col" class="num">
                  {t.behind}
                </th>
              </tr>
            </thead>
            <tbody>
              {overview?.views.map((view) => (
                <tr key={view.name}>
                  <td>{text.viewNames[view.name] ?? view.name}</td>
                  <td>
                    <Pill state={view.state} />
                  </td>
                  <td class="num">{count(view.lagReadings)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </section>
      </div>
    </>
  );
}

const rateOf = (overview: Overview) => overview.listeners.reduce((sum, l) => sum + (l.perSecond ?? 0), 0);
const lagOf = (overview: Overview) => Math.max(0, ...overview.views.map((v) => v.lagReadings));

function Stat(props: { label: string; value: string; unit?: string; note?: string; href?: string; children?: preact.ComponentChildren }) {
  return (
    <div class="card stat">
      <div class="label">{props.href ? <a href={props.href}>{props.label}</a> : props.label}</div>
      <div class="value">
        {props.value}
        {props.unit && <span class="unit">{props.unit}</span>}
      </div>
      <div class="note num">{props.note}</div>
      {props.children}
    </div>
  );
}

/** Devices known, and how many of them were heard lately. */
function Devices({ overview, active }: { overview: Overview | null; active: number | undefined }) {
  const known = overview?.devices ?? 0;
  const silent = active === undefined ? undefined : Math.max(0, known - active);
  return (
    <Stat label={t.devices} value={overview ? count(known) : "–"} unit={t.known} href="/devices">
      {active !== undefined && (
        <div class="share">
          <div class="meter" aria-hidden="true">
            <div style={{ width: `${known > 0 ? (100 * active) / known : 0}%` }} />
          </div>
          <p class="small num">
            <span>{t.active(count(active))}</span>{" "}
            <a href="/devices?silent=1h" class={silent! > 0 ? "warn-text" : "muted"}>
              {t.silent(count(silent!))}
            </a>
          </p>
        </div>
      )}
    </Stat>
  );
}

function Alerts({ overview }: { overview: Overview | null }) {
  const alerts = overview?.alerts ?? [];
  const open = alerts.reduce((sum, a) => sum + a.count, 0);
  const of = (severity: string) => alerts.filter((a) => a.severity === severity).reduce((sum, a) => sum + a.count, 0);
  const raised = alerts.filter((a) => a.state === "raised").reduce((sum, a) => sum + a.count, 0);
  return (
    <Stat label={t.alerts} value={overview ? count(open) : "–"} unit={t.open} note={t.unacknowledged(count(raised))} href="/alerts">
      <p class="severities">
        {severities.map((s) => (
          <a key={s} href={`/alerts?severity=${s}`} class={`count-of ${of(s) > 0 ? s : "none"}`}>
            <strong class="num">{count(of(s))}</strong> {text.states[s]}
          </a>
        ))}
      </p>
    </Stat>
  );
}

function Disk({ status }: { status: Status | null }) {
  const disk = status?.disk;
  const used = disk?.totalBytes && disk.freeBytes != null ? 1 - disk.freeBytes / disk.totalBytes : null;
  const kept = status?.log.retention ? t.kept(span(status.log.retention.ageSeconds)) : "";
  return (
    <Stat label={t.disk} value={used === null ? "–" : percent(used)} unit={t.used} note={disk?.freeBytes != null ? t.ofDisk(bytes(disk.freeBytes)) : ""}>
      <div class={`meter ${used !== null && used > 0.8 ? "high" : ""}`} aria-hidden="true">
        <div style={{ width: `${Math.round((used ?? 0) * 100)}%` }} />
      </div>
      <p class="small num muted">
        {status?.log.bytes !== undefined && t.logHolds(bytes(status.log.bytes))} {kept} {status?.log.oldestAt && <>· {t.oldest} <Ago at={status.log.oldestAt} /></>}
      </p>
    </Stat>
  );
}

function Jobs({ jobs }: { jobs: JobSummary[] | undefined }) {
  const sick = useMemo(() => (jobs ?? []).filter((job) => !["running", "warming", "starting", "stopped"].includes(job.state)).length, [jobs]);
  return (
    <section class="card flush">
      <div class="card-head padded">
        <h2>
          <a href="/jobs">{text.nav.jobs}</a>
        </h2>
        {jobs && jobs.length > 0 && <Pill state={sick > 0 ? "retrying" : "running"} label={sick > 0 ? t.jobsSick(sick) : t.jobsWell} />}
      </div>
      {jobs?.length === 0 && <p class="empty">{text.jobs.none}</p>}
      {jobs && jobs.length > 0 && (
        <table>
          <thead>
            <tr>
              <th scope="col">{text.jobs.name}</th>
              <th scope="col">{t.state}</th>
              <th scope="col" class="num">
                {text.jobs.rowsOut}
              </th>
              <th scope="col" class="num">
                {t.behind}
              </th>
            </tr>
          </thead>
          <tbody>
            {jobs.slice(0, 12).map((job) => (
              <tr key={job.name}>
                <td>
                  <a href={`/jobs/${encodeURIComponent(job.name)}`}>{job.name}</a>
                </td>
                <td>
                  <Pill state={job.state} />
                </td>
                <td class="num">{count(job.rowsOut)}</td>
                <td class="num">{count(job.lagReadings)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </section>
  );
}

function ListenerTable({ books, endpoints }: { books: Books[]; endpoints: Record<string, string> }) {
  return (
    <table class="ledger">
      <thead>
        <tr>
          <th scope="col">{t.listener}</th>
          <th scope="col">{t.endpoint}</th>
          {[t.rateHead, t.received, t.stored, t.rejected, t.dropped, t.inFlight].map((head) => (
            <th scope="col" class="num" key={head}>
              {head}
            </th>
          ))}
          <th scope="col">{t.books}</th>
        </tr>
      </thead>
      <tbody>
        {books.map((b) => {
          const off = b.received - b.stored - b.inFlight - total(b.rejected) - total(b.dropped);
          return (
            <tr key={b.name}>
              <td class="strong">{b.name}</td>
              <td class="mono nowrap">{endpoints[b.name] ?? <span class="muted">{t.off}</span>}</td>
              <td class="num">{count(Math.round(b.perSecond ?? 0))}</td>
              <td class="num">{count(b.received)}</td>
              <td class="num">{count(b.stored)}</td>
              <td class="num">
                <Reasons counts={b.rejected} href={`/dead-letters?listener=${b.name}`} />
              </td>
              <td class="num">
                <Reasons counts={b.dropped} />
              </td>
              <td class="num">{count(b.inFlight)}</td>
              <td>
                <Pill state={off === 0 ? "balanced" : "waiting"} label={off === 0 ? t.balanced : t.unbalanced(off)} />
              </td>
            </tr>
          );
        })}
      </tbody>
    </table>
  );
}

function Reasons({ counts, href }: { counts: Record<string, number>; href?: string }) {
  const entries = Object.entries(counts);
  if (entries.length === 0) return <>0</>;
  const sum = count(total(counts));
  return (
    <>
      {href ? <a href={href}>{sum}</a> : sum}
      {entries.map(([reason, n]) => (
        <div class="muted small nowrap" key={reason}>
          {text.reasons[reason] ?? reason} {count(n)}
        </div>
      ))}
    </>
  );
}

/** Lines to paste, with this server's own ports; gone when the first reading is here. */
function FirstReading({ status }: { status: Status | null }) {
  const split = (name: string) => {
    const endpoint = status?.endpoints[name];
    const colon = endpoint?.lastIndexOf(":") ?? -1;
    return endpoint && colon > 0 ? ([endpoint.slice(0, colon).replace(/^(0\.0\.0\.0|\[::\])$/, location.hostname), endpoint.slice(colon + 1)] as const) : null;
  };
  const udp = split("udp");
  const tcp = split("tcp");
  return (
    <section class="card first">
      <h2>
        <span class="pulse" aria-hidden="true" /> {t.emptyTitle}
      </h2>
      <p class="muted">{t.emptyText}</p>
      <div class="form">
        {udp && <Snippet label="UDP" line={`printf 'AABB01:20.5\\n' | nc -u -w1 ${udp[0]} ${udp[1]}`} />}
        {tcp && <Snippet label="TCP" line={`printf 'ACK\\nAABB02:21\\n' | nc -q1 ${tcp[0]} ${tcp[1]}`} />}
        <Snippet label="HTTP" line={`curl -H 'Content-Type: application/json' -d '{"id":"AABB03","value":22}' ${location.origin}/api/v1/telemetry`} />
      </div>
      <p class="muted small">{t.emptyDemo}</p>
    </section>
  );
}
