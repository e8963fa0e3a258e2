import { useEffect, useMemo, useState } from "preact/hooks";
import { type Alert, type DeviceRow, Problem, type Reading, call, devicePath, explain, useLoad } from "../api";
import { declareUnits, leaves, localTime, percent, shown, unitOf, value as shownValue } from "../format";
import { Bars } from "../parts/Bars";
import { Confirm, Dialog } from "../parts/Dialog";
import { Icon } from "../parts/Icon";
import { Pill, Trouble } from "../parts/Messages";
import { Snippet } from "../parts/Snippet";
import { Table } from "../parts/Table";
import { Ago, Time } from "../parts/Time";
import { type Mark, type Series, TrendChart } from "../parts/TrendChart";
import { navigate, useQueryParameter } from "../router";
import { useMay } from "../session";
import { text } from "../text";

const t = text.device;
const presets: [string, number][] = [
  ["15m", 900],
  ["1h", 3600],
  ["6h", 21_600],
  ["24h", 86_400],
  ["7d", 604_800],
  ["30d", 2_592_000],
  ["1y", 31_536_000],
];
/** Up to this long the readings themselves are drawn; beyond it points that keep least and greatest. */
const rawSecondsMax = 3 * 3600;
const readingsMax = 5000;
const pointsWanted = 800;
const fieldsShown = 2;
const fieldsMax = 6;
const tablePage = 50;
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;

export function DevicePage({ id }: { id: string }) {
  const path = devicePath(id);
  const [device, setDevice] = useState<DeviceRow | null>(null);
  const [latest, setLatest] = useState<Reading | null>(null);
  const [fresh, setFresh] = useState<Reading[]>([]);
  const [live, setLive] = useState(false);
  const [missing, setMissing] = useState(false);
  const [problem, setProblem] = useState("");
  const [registers, setRegisters] = useState<string[]>([]);
  const [dialog, setDialog] = useState<"token" | "edit" | "remove" | null>(null);
  const mayOperate = useMay("operate");
  const { data: alerts } = useLoad<{ alerts: Alert[] }>(`/api/v1/alerts?device=${encodeURIComponent(id)}&limit=100`, 10_000);

  const loadDevice = async () => {
    try {
      const found = await call<DeviceRow>(path);
      setDevice(found);
      return found;
    } catch (error) {
      if (error instanceof Problem && error.status === 404) setMissing(true);
      else setProblem(explain(error));
      return null;
    }
  };
  useEffect(() => {
    void loadDevice().then((found) => {
      // A device that was only added has no newest reading to ask for.
      if (found?.lastSeen) call<Reading>(`${path}/latest`).then((reading) => setLatest((before) => before ?? reading), () => {});
    });
    const source = new EventSource(`${path}/stream`);
    source.onopen = () => setLive(true);
    source.onerror = () => setLive(false);
    source.onmessage = (event) => {
      const reading = JSON.parse(event.data) as Reading;
      setMissing(false);
      setLatest((before) => (before && before.time > reading.time ? before : reading));
      setFresh((before) => [...before, reading].slice(-readingsMax));
    };
    return () => source.close();
  }, [path]);

  // Labels and units that the device's type declares.
  useEffect(() => {
    const type = device?.type;
    if (!type) return;
    const declare = async () => {
      const { types } = await call<{ types: string[] }>("/api/v1/device-types");
      if (!types.includes(type)) return;
      const { fields = {} } = await call<{ fields?: Record<string, { unit?: string; register?: unknown }> }>(`/api/v1/device-types/${encodeURIComponent(type)}`);
      declareUnits(fields);
      setRegisters(Object.keys(fields).filter((name) => fields[name]!.register));
    };
    declare().catch(() => {
      // Without its declaration a field shows the unit its name tells.
    });
  }, [device?.type]);

  if (missing && !latest)
    return (
      <section class="card empty">
        <h1 class="mono">{id}</h1>
        <p>{t.unknown}</p>
        <a href="/devices">{text.nav.devices}</a>
      </section>
    );
  const open = (alerts?.alerts ?? []).filter((a) => a.state !== "cleared");
  return (
    <>
      <header>
        <div>
          <p class="crumb">
            <a href="/devices">{text.nav.devices}</a>
          </p>
          <h1 class="mono">{id}</h1>
          <p class="muted">
            {[device?.name, device?.type].filter(Boolean).join(" · ")} {device?.tags.map((tag) => <span class="tag" key={tag}>{tag}</span>)}
          </p>
        </div>
        {mayOperate && (
          <div class="row">
            <button type="button" class="button" onClick={() => setDialog("edit")}>
              {t.edit}
            </button>
            <button type="button" class="button" onClick={() => setDialog("token")}>
              {t.token}
            </button>
            <button type="button" class="button danger" onClick={() => setDialog("remove")}>
              <Icon name="trash" /> {t.remove}
            </button>
          </div>
        )}
      </header>
      <Trouble problem={problem} />
      {open.length > 0 && (
        <section class="card" aria-label={text.nav.alerts}>
          <ul class="plain">
            {open.map((alert) => (
              <li key={alert.id}>
                <Pill state={alert.severity} /> <a href={`/alerts?device=${encodeURIComponent(id)}&alert=${alert.id}`}>{alert.message}</a> <Ago at={alert.raisedAt} />
              </li>
            ))}
          </ul>
        </section>
      )}
      <div class="split">
        <Latest reading={latest} live={live} />
        {latest && <Radio data={latest.data} />}
      </div>
      <Chart path={path} id={id} latest={latest} fresh={fresh} alerts={alerts?.alerts ?? []} />
      {latest && <Consumption key={registers.join()} path={path} data={latest.data} declared={registers} />}
      <RawReadings path={path} id={id} fresh={fresh} />
      {dialog === "token" && <TokenDialog path={path} hasToken={device?.hasToken ?? false} close={() => { setDialog(null); void loadDevice(); }} />}
      {dialog === "edit" && device && <EditDialog path={path} device={device} close={() => setDialog(null)} changed={setDevice} />}
      {dialog === "remove" && (
        <Confirm
          title={t.removeAsk(id)}
          action={t.remove}
          close={() => setDialog(null)}
          go={async () => {
            await call(path, "DELETE");
            navigate("/devices");
          }}
        >
          <p>{t.removeText}</p>
        </Confirm>
      )}
    </>
  );
}

function Latest({ reading, live }: { reading: Reading | null; live: boolean }) {
  const values = reading ? leaves(reading.data).filter(([name]) => !isRadio(name) && name !== "id" && name !== "time") : [];
  return (
    <section class="card latest">
      <div class="card-head">
        <h2>{t.latest}</h2>
        {reading && (
          <span class="muted small">
            <Time at={reading.time} /> · <Ago at={reading.receivedAt} />{" "}
          </span>
        )}
        <span class={`link-state ${live ? "live" : "lost"}`}>
          <span class="dot" aria-hidden="true" /> {live ? t.live : t.notLive}
        </span>
      </div>
      {!reading && <p class="empty">{t.noReading}</p>}
      <dl class="values">
        {values.slice(0, 24).map(([name, value]) => (
          <div key={name}>
            <dt title={name}>{name}</dt>
            <dd class="num">
              {typeof value === "number" ? shownValue(value) : <span class="text-value">{shown(value)}</span>}
              {typeof value === "number" && unitOf(name) && <span class="unit">{unitOf(name)}</span>}
            </dd>
          </div>
        ))}
      </dl>
    </section>
  );
}

const radioName = /(^|\.)(gwrx|motetx|radio|gw|mote|lora|nbiot)(\.|$)|(^|\.)(rssi|snr|lsnr|rsrp|rsrq|sinr|gateway|gatewayId|gweui|frequency|freq|datr|dataRate|datarate|sf|spreadingFactor|channel|chan|cellId|imei|iccid)$/i;
const isRadio = (name: string) => radioName.test(name);

/** What is known of the way the reading came: gateway, strength, channel. Nothing is shown where nothing is known. */
function Radio({ data }: { data: Record<string, unknown> }) {
  const facts = leaves(data).filter(([name, value]) => isRadio(name) && value !== null && (typeof value !== "object" || Array.isArray(value)));
  if (facts.length === 0) return null;
  const strength = facts.find(([name, value]) => /rssi$/i.test(name) && typeof value === "number")?.[1] as number | undefined;
  return (
    <section class="card">
      <div class="card-head">
        <h2>{t.radio}</h2>
        {strength !== undefined && <Signal dbm={strength} />}
      </div>
      <dl class="facts">
        {facts.slice(0, 14).map(([name, value]) => (
          <div key={name}>
            <dt title={name}>{text.radio[name.split(".").at(-1)!.toLowerCase()] ?? name.split(".").at(-1)}</dt>
            <dd class="mono">
              {shown(value)} {unitOf(name)}
            </dd>
          </div>
        ))}
      </dl>
    </section>
  );
}

function Signal({ dbm }: { dbm: number }) {
  const bars = dbm > -70 ? 4 : dbm > -85 ? 3 : dbm > -100 ? 2 : 1;
  return (
    <span class="signal" role="img" aria-label={t.signal(bars)} title={`${dbm} dBm`}>
      {[1, 2, 3, 4].map((n) => (
        <span class={n <= bars ? "on" : ""} style={{ height: `${n * 4 + 2}px` }} key={n} />
      ))}
    </span>
  );
}

type Points = { interval: string; points: ({ time: string; count: number } & Record<string, unknown>)[] };
type Drawn = { times: number[]; series: Series[]; interval: string; readings: Reading[] };
const nothing: Drawn = { times: [], series: [], interval: "", readings: [] };

function Chart({ path, id, latest, fresh, alerts }: { path: string; id: string; latest: Reading | null; fresh: Reading[]; alerts: Alert[] }) {
  const [preset, setPreset] = useQueryParameter("range", "24h");
  const [chosenFields, setFields] = useQueryParameter("fields");
  const [range, setRange] = useState<[number, number] | null>(null);
  const [drawn, setDrawn] = useState<Drawn>(nothing);
  const [problem, setProblem] = useState("");
  const [loading, setLoading] = useState(true);

  const names = useMemo(() => numericFields(latest), [latest?.data && Object.keys(latest.data).join()]);
  const fields = chosenFields ? chosenFields.split(",") : names.slice(0, fieldsShown);
  const seconds = presets.find(([name]) => name === preset)?.[1] ?? 86_400;
  const follows = range === null;
  const [from, to] = range ?? [Date.now() / 1000 - seconds, Date.now() / 1000];
  const isRaw = to - from <= rawSecondsMax;

  useEffect(() => {
    if (fields.length === 0) return undefined;
    let stale = false;
    setLoading(true);
    const timer = setTimeout(() => {
      load(path, from, to, fields, isRaw).then(
        (found) => !stale && (setDrawn(found), setProblem(""), setLoading(false)),
        (error) => !stale && (setProblem(explain(error)), setLoading(false)),
      );
    }, 80);
    return () => {
      stale = true;
      clearTimeout(timer);
    };
  }, [path, preset, fields.join(), range?.[0], range?.[1]]);

  const shownData = useMemo(() => (follows && isRaw ? appended(drawn, fresh, fields, from) : drawn), [drawn, fresh.length, follows, isRaw]);
  const marks = useMemo(() => [...alertMarks(alerts), ...changeMarks(shownData.readings)], [alerts, shownData.readings]);
  const toggle = (name: string) => {
    const next = fields.includes(name) ? fields.filter((f) => f !== name) : [...fields, name].slice(-fieldsMax);
    setFields(next.join(","));
  };
  const zoom = (factor: number) => {
    const middle = (from + to) / 2;
    const half = ((to - from) * factor) / 2;
    setRange([middle - half, Math.min(middle + half, Date.now() / 1000 + half)]);
  };
  const pan = (share: number) => setRange([from + (to - from) * share, to + (to - from) * share]);
  return (
    <section class="card" aria-busy={loading}>
      <div class="card-head">
        <h2>{t.trend}</h2>
        <span class="muted small" role="status">
          {shownData.interval && t.interval(shownData.interval)}
        </span>
        <div class="segments push" role="group" aria-label={t.range}>
          {presets.map(([name]) => (
            <button
              type="button"
              key={name}
              aria-pressed={follows && name === preset}
              onClick={() => {
                setRange(null);
                setPreset(name);
              }}
            >
              {text.spans[name]}
            </button>
          ))}
        </div>
        <div class="row tight">
          <button type="button" class="button small" aria-label={t.earlier} title={t.earlier} onClick={() => pan(-0.5)}>
            <Icon name="left" />
          </button>
          <button type="button" class="button small" aria-label={t.later} title={t.later} onClick={() => pan(0.5)}>
            <Icon name="right" />
          </button>
          <button type="button" class="button small" aria-label={t.zoomIn} title={t.zoomIn} onClick={() => zoom(0.5)}>
            <Icon name="search" />
          </button>
          <button type="button" class="button small" aria-label={t.zoomOut} title={t.zoomOut} onClick={() => zoom(2)}>
            <Icon name="zoomOut" />
          </button>
        </div>
      </div>
      {names.length > 1 && (
        <div class="chips" role="group" aria-label={t.fields}>
          {names.map((name) => (
            <button type="button" key={name} class="chip" aria-pressed={fields.includes(name)} onClick={() => toggle(name)}>
              {name}
            </button>
          ))}
        </div>
      )}
      <Trouble problem={problem} />
      {fields.length === 0 ? (
        <p class="empty chart-empty">{t.noNumbers}</p>
      ) : (
        <TrendChart
          empty={shownData.times.length === 0 && !loading ? t.nothingInRange : undefined}
          times={shownData.times}
          series={shownData.series}
          marks={marks}
          range={[from, to]}
          onRange={(a, b) => b - a > 1 && setRange([a, b])}
          label={`${t.trend} ${id}, ${fields.join(", ")}, ${localTime(new Date(from * 1000).toISOString())} – ${localTime(new Date(to * 1000).toISOString())}`}
        />
      )}
      <p class="muted small chart-note">
        {t.chartHelp} {marks.length > 0 && t.marks(marks.length)}
      </p>
    </section>
  );
}

async function load(path: string, from: number, to: number, fields: string[], isRaw: boolean): Promise<Drawn> {
  const query = new URLSearchParams({ from: String(Math.floor(from * 1000)), to: String(Math.ceil(to * 1000)) });
  if (isRaw) return rawOf(path, query, fields);
  try {
    query.set("interval", "auto");
    query.set("points", String(pointsWanted));
    query.set("aggregate", "avg,min,max");
    query.set("fields", fields.join(","));
    query.set("tz", zone);
    return pointsOf(await call<Points>(`${path}/history?${query}`), fields);
  } catch (error) {
    // A server without an archive has no points; what its log holds can be drawn as it is.
    if (!(error instanceof Problem) || error.status !== 400) throw error;
    for (const name of ["interval", "points", "aggregate", "fields", "tz"]) query.delete(name);
    return rawOf(path, query, fields);
  }
}

async function rawOf(path: string, query: URLSearchParams, fields: string[]): Promise<Drawn> {
  query.set("limit", String(readingsMax));
  const page = await call<{ readings: Reading[] }>(`${path}/history?${query}`);
  return drawnOf(page.readings, fields);
}

function drawnOf(readings: Reading[], fields: string[]): Drawn {
  const sorted = [...readings].sort((a, b) => (a.time < b.time ? -1 : a.time > b.time ? 1 : 0));
  const found = sorted.map((r) => new Map(leaves(r.data)));
  return {
    times: sorted.map((r) => Date.parse(r.time) / 1000),
    series: fields.map((label) => ({ label, unit: unitOf(label), values: found.map((leaf) => numberOf(leaf.get(label))) })),
    interval: "",
    readings: sorted,
  };
}

function pointsOf(answer: Points, fields: string[]): Drawn {
  const of = (field: string, aggregate: string) => answer.points.map((p) => numberOf((p[field] as Record<string, number> | undefined)?.[aggregate]));
  return {
    times: answer.points.map((p) => Date.parse(p.time) / 1000),
    series: fields.map((label) => ({ label, unit: unitOf(label), values: of(label, "avg"), low: of(label, "min"), high: of(label, "max") })),
    interval: answer.interval,
    readings: [],
  };
}

/** What was loaded and what has come since, without what has left on the other side. */
function appended(drawn: Drawn, fresh: Reading[], fields: string[], from: number): Drawn {
  if (fresh.length === 0) return drawn;
  const known = new Set(drawn.readings.map((r) => `${r.partition}:${r.sequence}`));
  const added = fresh.filter((r) => !known.has(`${r.partition}:${r.sequence}`));
  return drawnOf([...drawn.readings, ...added].filter((r) => Date.parse(r.time) / 1000 >= from).slice(-readingsMax), fields);
}

const numberOf = (value: unknown): number | null => (typeof value === "number" && Number.isFinite(value) ? value : null);

/** Fields that can be drawn, those an operator would look at first in front. */
function numericFields(latest: Reading | null): string[] {
  const names = leaves(latest?.data ?? {})
    .filter(([name, value]) => typeof value === "number" && !/(^|\.)(time|timestamp|ts)$/i.test(name))
    .map(([name]) => name);
  const rank = (name: string) => (isRadio(name) ? 3 : /(^|\.)(n|seq|seqno|type|code|status|port|building)$/i.test(name) ? 2 : name.startsWith("originData.") ? 1 : 0);
  return names.sort((a, b) => rank(a) - rank(b)).slice(0, 24);
}

const alertMarks = (alerts: Alert[]): Mark[] =>
  alerts.map((alert) => ({ from: Date.parse(alert.raisedAt) / 1000, to: Date.parse(alert.clearedAt ?? alert.lastAt) / 1000, label: alert.message, kind: alert.severity }));

/** Places where a word or a flag of the device changed: a valve closed, a tamper flag went up. */
function changeMarks(readings: Reading[]): Mark[] {
  const marks: Mark[] = [];
  const before = new Map<string, unknown>();
  for (const reading of readings) {
    for (const [name, value] of leaves(reading.data)) {
      const isState = typeof value === "boolean" || (typeof value === "string" && value.length <= 24 && !/time|id$|eui|serial|version/i.test(name) && !isRadio(name));
      if (!isState) continue;
      if (before.has(name) && before.get(name) !== value) marks.push({ from: Date.parse(reading.time) / 1000, label: `${name}: ${shown(value)}`, kind: "info" });
      before.set(name, value);
    }
  }
  return marks.slice(-50);
}

const registerName = /(^|\.)(used|register|counter|total|volume|energy|consumption|reading|index)$/i;
const daysShown = 30;

type Use = Points & { balance?: { readings: number; broken: number }; completeness?: { share: number } };

/** Use by local day: of a register that the device's type declares as it is defined there, of others the sum of their rises. */
function Consumption({ path, data, declared }: { path: string; data: Record<string, unknown>; declared: string[] }) {
  const named = leaves(data).filter(([name, value]) => registerName.test(name) && typeof value === "number").map(([name]) => name);
  const registers = declared.length > 0 ? declared : named;
  const [register, setRegister] = useState(registers[0] ?? "");
  const from = new Date(new Date().setHours(0, 0, 0, 0) - (daysShown - 1) * 86_400_000).toISOString();
  const query = new URLSearchParams({ interval: "1d", aggregate: declared.length > 0 ? "use" : "rise", fields: register, tz: zone, from });
  const { data: answer } = useLoad<Use>(register ? `${path}/history?${query}` : null, 60_000);
  if (!register || !answer?.points) return null;
  const unit = unitOf(register);
  const bars = answer.points.map((point) => {
    const day = new Date(point.time);
    const used = numberOf(point[register]);
    const quality = (point["quality"] as Record<string, string> | undefined)?.[register];
    return {
      label: day.toLocaleDateString(undefined, { day: "numeric", month: "short" }),
      value: used,
      doubtful: quality !== undefined,
      title: `${day.toLocaleDateString()}: ${used === null ? "–" : shownValue(used)} ${unit} ${quality ?? ""}`,
    };
  });
  return (
    <section class="card">
      <div class="card-head">
        <h2>{t.consumption}</h2>
        <span class="muted small">
          {t.consumptionText}
          {answer.completeness && ` · ${t.complete(percent(answer.completeness.share))}`}
          {bars.some((bar) => bar.doubtful) && ` · ${t.estimated}`}
        </span>
        {answer.balance && answer.balance.broken > 0 && <span class="warn-text small">{t.unbalanced(answer.balance.broken)}</span>}
        {registers.length > 1 && (
          <label class="inline push">
            {t.register}
            <select value={register} onChange={(e) => setRegister(e.currentTarget.value)}>
              {registers.map((name) => (
                <option value={name} key={name}>
                  {name}
                </option>
              ))}
            </select>
          </label>
        )}
      </div>
      <Bars bars={bars} label={`${t.consumption} ${register}`} unit={unit} />
    </section>
  );
}

function RawReadings({ path, id, fresh }: { path: string; id: string; fresh: Reading[] }) {
  const [readings, setReadings] = useState<Reading[]>([]);
  const [shownRows, setShownRows] = useState(tablePage);
  const [problem, setProblem] = useState("");
  const [exporting, setExporting] = useState(false);
  useEffect(() => {
    const from = new Date(Date.now() - 86_400_000).toISOString();
    call<{ readings: Reading[] }>(`${path}/history?from=${from}&limit=2000`).then((page) => setReadings(page.readings), () => {});
  }, [path]);
  // Rows under somebody's eyes stay where they are: what is new waits until it is asked for.
  const known = new Set(readings.map((r) => `${r.partition}:${r.sequence}`));
  const waiting = fresh.filter((r) => !known.has(`${r.partition}:${r.sequence}`));
  const rows = [...readings].reverse();
  return (
    <section class="card flush">
      <div class="card-head padded">
        <h2>{t.raw}</h2>
        <span class="push" />
        <button type="button" class="button small" disabled={waiting.length === 0} onClick={() => setReadings([...readings, ...waiting])}>
          <Icon name="up" /> {t.newRows(waiting.length)}
        </button>
        <button type="button" class="button small" onClick={() => setExporting(true)}>
          <Icon name="download" /> {t.export}
        </button>
      </div>
      <Trouble problem={problem} />
      {rows.length === 0 && <p class="empty">{t.nothingInRange}</p>}
      {rows.length > 0 && (
        <Table
          label={t.raw}
          heads={[
            { label: t.time },
            { label: t.receivedAt },
            { label: t.position },
            { label: t.data },
          ]}
        >
          {rows.slice(0, shownRows).map((r) => (
            <tr key={`${r.partition}:${r.sequence}`}>
              <td class="nowrap">
                <Time at={r.time} />
              </td>
              <td class="nowrap">
                <Time at={r.receivedAt} />
              </td>
              <td class="mono muted">{`${r.partition}:${r.sequence}`}</td>
              <td class="mono wrap">{JSON.stringify(r.data)}</td>
            </tr>
          ))}
        </Table>
      )}
      {rows.length > shownRows && (
        <p class="more">
          <button type="button" class="button" onClick={() => setShownRows(shownRows + 200)}>
            {text.common.more}
          </button>
        </p>
      )}
      {exporting && <ExportDialog path={path} id={id} close={() => setExporting(false)} failed={setProblem} />}
    </section>
  );
}

/** Everything in a range, fetched page by page and saved as one file. */
function ExportDialog({ path, id, close, failed }: { path: string; id: string; close: () => void; failed: (problem: string) => void }) {
  const [fetched, setFetched] = useState<number | null>(null);
  const save = async (form: FormData) => {
    const seconds = presets.find(([name]) => name === form.get("range"))![1];
    const csv = form.get("format") === "csv";
    const query = new URLSearchParams({ from: new Date(Date.now() - seconds * 1000).toISOString(), limit: "20000" });
    const readings: Reading[] = [];
    for (let next: string | null = ""; next !== null; ) {
      if (next) query.set("after", next);
      const page: { readings: Reading[]; next: string | null } = await call(`${path}/history?${query}`);
      readings.push(...page.readings);
      next = page.next;
      setFetched(readings.length);
    }
    const body = csv ? csvOf(readings) : readings.map((r) => `${JSON.stringify({ id, ...r })}\n`).join("");
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([body], { type: csv ? "text/csv" : "application/x-ndjson" }));
    link.download = `${id.replace(/[^\w.-]+/g, "_")}.${csv ? "csv" : "jsonl"}`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
    failed("");
    close();
  };
  return (
    <Dialog title={t.export} action={t.exportGo} close={close} submit={save}>
      <label>
        {t.range}
        <select name="range">
          {presets.map(([name]) => (
            <option value={name} key={name} selected={name === "24h"}>
              {text.spansLong[name]}
            </option>
          ))}
        </select>
      </label>
      <label>
        {t.format}
        <select name="format">
          <option value="jsonl">JSON lines</option>
          <option value="csv">CSV</option>
        </select>
      </label>
      {fetched !== null && <p role="status">{t.fetched(fetched)}</p>}
    </Dialog>
  );
}

function csvOf(readings: Reading[]): string {
  const rows = readings.map((r) => new Map<string, unknown>([["time", r.time], ["receivedAt", r.receivedAt], ...leaves(r.data)]));
  const columns = [...new Set(rows.flatMap((row) => [...row.keys()]))];
  // A cell that begins as a formula would is marked as text: spreadsheets run formulas of strangers otherwise.
  const cell = (value: unknown) => {
    const plain = value === undefined || value === null ? "" : shown(value);
    const safe = typeof value === "string" && /^[=+\-@\t]/.test(plain) ? `'${plain}` : plain;
    return /[",\n\r]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  };
  return [columns.map(cell).join(","), ...rows.map((row) => columns.map((c) => cell(row.get(c))).join(","))].join("\r\n") + "\r\n";
}

function TokenDialog({ path, hasToken, close }: { path: string; hasToken: boolean; close: () => void }) {
  const [token, setToken] = useState("");
  if (token)
    return (
      <Dialog title={t.token} close={close}>
        <p>{t.tokenOnce}</p>
        <Snippet line={token} label={t.tokenLabel} />
      </Dialog>
    );
  return (
    <Dialog title={t.token} action={t.tokenGo} close={close} submit={async () => setToken((await call<{ token: string }>(`${path}/token`, "POST", {})).token)}>
      <p>{hasToken ? t.tokenReplaces : t.tokenText}</p>
    </Dialog>
  );
}

function EditDialog({ path, device, close, changed }: { path: string; device: DeviceRow; close: () => void; changed: (device: DeviceRow) => void }) {
  const save = async (form: FormData) => {
    const tags = String(form.get("tags"))
      .split(",")
      .map((x) => x.trim())
      .filter(Boolean);
    changed(await call<DeviceRow>(path, "PUT", { name: String(form.get("name")), type: String(form.get("type")), tags }));
    close();
  };
  return (
    <Dialog title={t.edit} close={close} submit={save}>
      <label>
        {text.devices.name}
        <input name="name" maxLength={256} value={device.name ?? ""} autoFocus />
      </label>
      <label>
        {text.devices.type}
        <input name="type" maxLength={64} value={device.type ?? ""} />
      </label>
      <label>
        {text.devices.tagsHint}
        <input name="tags" value={device.tags.join(", ")} />
      </label>
    </Dialog>
  );
}
