import { useEffect, useRef, useState } from "preact/hooks";
import { type Books, type Overview, type Status, call, total } from "../api";
import { bytes, count } from "../format";
import { watchOverview } from "../live";
import { Snippet } from "../parts/Snippet";
import { Sparkline } from "../parts/Sparkline";
import { text } from "../text";

const t = text.overview;
const sparkLength = 120;

export function OverviewPage({ status }: { status: Status | null }) {
  const [overview, setOverview] = useState<Overview | null>(null);
  const [disk, setDisk] = useState(status?.disk);
  const rates = useRef<number[]>([]);

  useEffect(
    () =>
      watchOverview((next) => {
        if (!next) return;
        const rate = next.listeners.reduce((sum, l) => sum + (l.perSecond ?? 0), 0);
        rates.current = [...rates.current, rate].slice(-sparkLength);
        setOverview(next);
      }),
    [],
  );
  useEffect(() => {
    const ask = () => call<Status>("/api/v1/status").then((s) => setDisk(s.disk), () => {});
    void ask();
    const timer = setInterval(ask, 30_000);
    return () => clearInterval(timer);
  }, []);

  const stored = overview?.listeners.reduce((sum, l) => sum + l.stored, 0) ?? 0;
  const lag = Math.max(0, ...(overview?.views.map((v) => v.lagReadings) ?? []));
  const rate = rates.current.at(-1) ?? 0;
  const used = disk?.totalBytes && disk.freeBytes != null ? 1 - disk.freeBytes / disk.totalBytes : null;
  return (
    <>
      <header>
        <h1>{t.title}</h1>
        {overview && <span class={`pill ${overview.log === "accepting" ? "good" : "bad"}`}>{`${t.log}: ${overview.log}`}</span>}
      </header>
      {overview && overview.devices === 0 && stored === 0 && <FirstReading status={status} />}
      <section class="grid" aria-label={t.title}>
        <Stat label={t.rate} value={count(Math.round(rate))} unit={t.perSecond}>
          <Sparkline values={rates.current} />
        </Stat>
        <Stat label={t.devices} value={overview ? count(overview.devices) : "–"} note={`${count(stored)} ${t.readings} ${t.stored.toLowerCase()}`} />
        <Stat label={t.lag} value={count(lag)} unit={t.readings} />
        <Stat
          label={t.disk}
          value={used === null ? "–" : `${Math.round(used * 100)} %`}
          note={disk?.freeBytes != null ? t.ofDisk(bytes(disk.freeBytes)) : ""}
        >
          <div class="meter">
            <div style={{ width: `${Math.round((used ?? 0) * 100)}%` }} />
          </div>
        </Stat>
      </section>
      <section class="card">
        <h2>
          {t.listeners} <span class="muted">· {t.balance}</span>
        </h2>
        <div class="scroll-x" tabIndex={0} role="region" aria-label={t.listeners}>
          <ListenerTable books={overview?.listeners ?? []} endpoints={status?.endpoints ?? {}} />
        </div>
      </section>
      <section class="card">
        <h2>{t.views}</h2>
        <div class="scroll-x">
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
                  <td>{view.name}</td>
                  <td>
                    <span class={`pill ${view.state === "running" ? "good" : "warn"}`}>{view.state}</span>
                  </td>
                  <td class="num">{count(view.lagReadings)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      </section>
    </>
  );
}

function Stat(props: { label: string; value: string; unit?: string; note?: string; children?: preact.ComponentChildren }) {
  return (
    <div class="card stat">
      <div class="label">{props.label}</div>
      <div class="value">
        {props.value}
        {props.unit && <span class="unit">{props.unit}</span>}
      </div>
      {props.note !== undefined && <div class="note num">{props.note}</div>}
      {props.children}
    </div>
  );
}

function ListenerTable({ books, endpoints }: { books: Books[]; endpoints: Record<string, string> }) {
  return (
    <table>
      <thead>
        <tr>
          <th scope="col">{t.listener}</th>
          <th scope="col">{t.endpoint}</th>
          {[t.perSecond, t.received, t.stored, t.rejected, t.dropped, t.inFlight].map((head) => (
            <th scope="col" class="num">
              {head}
            </th>
          ))}
          <th scope="col">
            <span class="visually-hidden">{t.balance}</span>
          </th>
        </tr>
      </thead>
      <tbody>
        {books.map((b) => {
          const off = b.received - b.stored - b.inFlight - total(b.rejected) - total(b.dropped);
          return (
            <tr key={b.name}>
              <td>{b.name}</td>
              <td class="mono">{endpoints[b.name] ?? "–"}</td>
              <td class="num">{count(Math.round(b.perSecond ?? 0))}</td>
              <td class="num">{count(b.received)}</td>
              <td class="num">{count(b.stored)}</td>
              <td class="num">
                <Reasons counts={b.rejected} />
              </td>
              <td class="num">
                <Reasons counts={b.dropped} />
              </td>
              <td class="num">{count(b.inFlight)}</td>
              <td>
                <span class={`pill ${off === 0 ? "good" : "warn"}`}>{off === 0 ? t.balanced : t.unbalanced(off)}</span>
              </td>
            </tr>
          );
        })}
      </tbody>
    </table>
  );
}

function Reasons({ counts }: { counts: Record<string, number> }) {
  const entries = Object.entries(counts);
  if (entries.length === 0) return <>0</>;
  return (
    <>
      {count(total(counts))}
      {entries.map(([reason, n]) => (
        <div class="muted">
          {reason} {count(n)}
        </div>
      ))}
    </>
  );
}

function FirstReading({ status }: { status: Status | null }) {
  const at = (name: string, fallback: string) => (status?.endpoints[name] ?? fallback).split(":");
  const [udpHost, udpPort] = at("udp", "127.0.0.1:9999");
  const [tcpHost, tcpPort] = at("tcp", "127.0.0.1:8090");
  return (
    <section class="card">
      <h2>{t.emptyTitle}</h2>
      <p class="muted">{t.emptyText}</p>
      <div class="form">
        <Snippet line={`printf 'AABB01:20.5\\n' | nc -u -w1 ${udpHost} ${udpPort}`} />
        <Snippet line={`printf 'ACK\\nAABB02:21\\n' | nc -q1 ${tcpHost} ${tcpPort}`} />
        <Snippet line={`curl -H 'Content-Type: application/json' -d '{"id":"AABB03","value":22}' ${location.origin}/api/v1/telemetry`} />
      </div>
    </section>
  );
}
