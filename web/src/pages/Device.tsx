import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { type DeviceRow, Problem, type Reading, call } from "../api";
import { age, localTime, shown } from "../format";
import { type Series, TrendChart } from "../parts/TrendChart";
import { navigate } from "../router";
import { text } from "../text";

const t = text.device;
const ranges: [string, number][] = [
  ["1 h", 3600],
  ["6 h", 21_600],
  ["24 h", 86_400],
  ["7 d", 604_800],
];
const readingsMax = 5000;
const seriesMax = 4;

export function DevicePage({ id }: { id: string }) {
  const path = `/api/v1/devices/${encodeURIComponent(id)}`;
  const [device, setDevice] = useState<DeviceRow | null>(null);
  const [latest, setLatest] = useState<Reading | null>(null);
  const [readings, setReadings] = useState<Reading[]>([]);
  const [range, setRange] = useState(86_400);
  const [missing, setMissing] = useState(false);
  const [token, setToken] = useState<string | null>(null);
  const [problem, setProblem] = useState("");

  useEffect(() => {
    call<DeviceRow>(path).then(setDevice, (e) => e instanceof Problem && e.status === 404 && setMissing(true));
    call<Reading>(`${path}/latest`).then(setLatest, () => {});
    const source = new EventSource(`${path}/stream`);
    source.onmessage = (event) => take(JSON.parse(event.data) as Reading);
    source.addEventListener("reading", (event) => take(JSON.parse((event as MessageEvent<string>).data) as Reading));
    const take = (reading: Reading) => {
      setMissing(false);
      setLatest((before) => (before && before.time > reading.time ? before : reading));
      setReadings((before) => [...before.slice(-readingsMax), reading]);
    };
    return () => source.close();
  }, [path]);

  useEffect(() => {
    const from = new Date(Date.now() - range * 1000).toISOString();
    call<{ readings: Reading[] }>(`${path}/history?from=${from}&limit=${readingsMax}`).then((page) => setReadings(page.readings), () => {});
  }, [path, range]);

  const { times, series } = useMemo(() => seriesOf(readings), [readings]);
  if (missing && !latest) return <p class="empty">{t.unknown}</p>;

  const act = async (work: () => Promise<void>) => {
    try {
      await work();
      setProblem("");
    } catch (e) {
      setProblem(e instanceof Problem ? `${e.message} ${e.detail}` : text.common.error);
    }
  };
  return (
    <>
      <header>
        <div>
          <h1 class="mono">{id}</h1>
          <span class="muted">{[device?.name, device?.type].filter(Boolean).join(" · ")}</span>{" "}
          {device?.tags.map((tag) => <span class="tag">{tag}</span>)}
        </div>
        <div class="row">
          <button
            type="button"
            class="button"
            onClick={() => void act(async () => setToken((await call<{ token: string }>(`${path}/token`, "POST", {})).token))}
          >
            {t.token}
          </button>
          <button
            type="button"
            class="button danger"
            onClick={() => {
              if (confirm(t.removeAsk(id)))
                void act(async () => {
                  await call(path, "DELETE");
                  navigate("/devices");
                });
            }}
          >
            {t.remove}
          </button>
        </div>
      </header>
      {problem && (
        <p class="banner bad" role="alert">
          {problem}
        </p>
      )}
      {token && (
        <section class="card">
          <p>{t.tokenOnce}</p>
          <code class="mono">{token}</code>
        </section>
      )}
      <section class="card">
        <h2>
          {t.latest} {latest && <span class="pill good">{t.live}</span>}
        </h2>
        {latest && <Latest reading={latest} />}
      </section>
      <section class="card">
        <div class="row">
          <h2>{t.trend}</h2>
          {ranges.map(([label, seconds]) => (
            <button type="button" class={`button ${seconds === range ? "primary" : ""}`} aria-pressed={seconds === range} onClick={() => setRange(seconds)}>
              {label}
            </button>
          ))}
        </div>
        {series.length > 0 ? <TrendChart times={times} series={series} label={`${t.trend} ${id}`} /> : <p class="empty">{t.noNumbers}</p>}
      </section>
      <section class="card">
        <div class="row">
          <h2>{t.raw}</h2>
          <ExportLink id={id} readings={readings} />
        </div>
        <div class="scroll-x" role="region" aria-label={t.raw} tabIndex={0}>
          <table>
            <thead>
              <tr>
                <th scope="col">{t.time}</th>
                <th scope="col">{t.receivedAt}</th>
                <th scope="col">{t.position}</th>
                <th scope="col">{t.data}</th>
              </tr>
            </thead>
            <tbody>
              {readings
                .slice(-50)
                .reverse()
                .map((r) => (
                  <tr key={`${r.partition}:${r.sequence}`}>
                    <td class="num" title={r.time}>
                      {localTime(r.time)}
                    </td>
                    <td class="num" title={r.receivedAt}>
                      {localTime(r.receivedAt)}
                    </td>
                    <td class="mono">{`${r.partition}:${r.sequence}`}</td>
                    <td class="mono">{JSON.stringify(r.data)}</td>
                  </tr>
                ))}
            </tbody>
          </table>
        </div>
      </section>
    </>
  );
}

function Latest({ reading }: { reading: Reading }) {
  return (
    <>
      <p class="muted" title={reading.time}>
        {localTime(reading.time)} · {text.common.ago(age(reading.receivedAt))}
      </p>
      <div class="grid">
        {flat(reading.data).map(([name, value]) => (
          <div class="stat" key={name}>
            <div class="label">{name}</div>
            <div class="value" title={shown(value)}>
              {typeof value === "number" ? shown(value) : <span class="unit">{shown(value)}</span>}
            </div>
          </div>
        ))}
      </div>
    </>
  );
}

function ExportLink({ id, readings }: { id: string; readings: Reading[] }) {
  const link = useRef<HTMLAnchorElement>(null);
  const prepare = () => {
    const lines = readings.map((r) => JSON.stringify({ id, ...r })).join("\n");
    link.current!.href = URL.createObjectURL(new Blob([lines, "\n"], { type: "application/x-ndjson" }));
  };
  return (
    <a ref={link} class="button" href="#export" download={`${id}.jsonl`} onClick={prepare}>
      {t.export}
    </a>
  );
}

/** Leaves of a document as path and value, first ones first. */
function flat(data: Record<string, unknown>, prefix = ""): [string, unknown][] {
  return Object.entries(data)
    .flatMap(([name, value]): [string, unknown][] =>
      value !== null && typeof value === "object" && !Array.isArray(value)
        ? flat(value as Record<string, unknown>, `${prefix}${name}.`)
        : [[prefix + name, value]],
    )
    .slice(0, 40);
}

function seriesOf(readings: Reading[]): { times: number[]; series: Series[] } {
  const sorted = [...readings].sort((a, b) => (a.time < b.time ? -1 : 1));
  const leaves = sorted.map((r) => new Map(flat(r.data)));
  const names = [...new Set(leaves.flatMap((leaf) => [...leaf].filter(([, v]) => typeof v === "number").map(([name]) => name)))].slice(0, seriesMax);
  return {
    times: sorted.map((r) => Date.parse(r.time) / 1000),
    series: names.map((label) => ({
      label,
      values: leaves.map((leaf) => {
        const value = leaf.get(label);
        return typeof value === "number" ? value : null;
      }),
    })),
  };
}
