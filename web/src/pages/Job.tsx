import { useEffect, useRef, useState } from "preact/hooks";
import { type Activity, Problem, type SeenField, call, explain, useLoad } from "../api";
import { bytes, count, shown } from "../format";
import { Confirm } from "../parts/Dialog";
import { Icon } from "../parts/Icon";
import { Banner, Pill, Trouble } from "../parts/Messages";
import { OutputForms, type Outputs } from "../parts/OutputForms";
import { type ScriptError, SqlEditor } from "../parts/SqlEditor";
import { Ago, Time } from "../parts/Time";
import { TrendChart } from "../parts/TrendChart";
import { navigate } from "../router";
import { useMay } from "../session";
import { text } from "../text";
import { rates } from "./Jobs";

const t = text.job;
const checkAfterMs = 250;
const statusMs = 2000;
const activityMs = 10_000;
const previewSpans: [string, number][] = [
  ["15 min", 900],
  ["1 h", 3600],
  ["6 h", 21_600],
  ["24 h", 86_400],
];

type Definition = { query: string; outputs?: Outputs; startFrom?: string; inputs?: Record<string, unknown>; settings?: Record<string, unknown>; start?: boolean };
type JobStatus = {
  state: string;
  version: number;
  exactFrom: string | null;
  rowsIn: number;
  rowsOut: number;
  bad: number;
  late: number;
  early: number;
  outOfOrder: number;
  watermark: string | null;
  lagReadings: number;
  lastError: string | null;
  memoryBytes: number;
  snapshotAt: string | null;
  dataLost: { partition: number; from: number; to: number }[];
  outputs: { name: string; kind: string; rows: number; state?: string; pendingRows?: number; lastError?: string | null }[];
};
type JobInfo = { name: string; version: number; running: boolean; definition: Definition; status: JobStatus; warnings: string[] };
type Preview = { rows: Record<string, number>; first: Record<string, Record<string, unknown>[]>; events: number; bad: number; badEvents: string[]; until: string | null };

const draft: Definition = { query: "SELECT id, value, System.Timestamp() AS at\nINTO high\nFROM telemetry\nWHERE value > 50\n", outputs: {}, startFrom: "now" };

/** One job: its script, what it would give, where its rows go and how it runs. The name "new" is a job yet to be saved. */
export function JobPage({ name }: { name: string }) {
  const isNew = name === "new";
  const path = `/api/v1/jobs/${encodeURIComponent(name)}`;
  const loaded = useLoad<JobInfo>(isNew ? null : path);
  const fields = useLoad<{ fields: SeenField[] }>("/api/v1/fields");
  const [definition, setDefinition] = useState<Definition | null>(isNew ? draft : null);
  const [newName, setNewName] = useState("");
  const [saved, setSaved] = useState("");
  const [problem, setProblem] = useState("");
  const [removing, setRemoving] = useState(false);
  const { errors, warnings, outputs } = useCheck(definition?.query ?? null);
  const mayOperate = useMay("operate");

  useEffect(() => {
    if (loaded.data && !definition) setDefinition(loaded.data.definition);
  }, [loaded.data]);

  if (!isNew && loaded.problem && !loaded.data) return <p class="card empty">{loaded.problem}</p>;
  if (!definition) return <p class="empty" aria-busy="true" />;

  const save = async (start: boolean) => {
    const target = isNew ? newName.trim() : name;
    const used = Object.fromEntries(Object.entries(definition.outputs ?? {}).filter(([output]) => outputs.some((o) => o.toLowerCase() === output.toLowerCase())));
    try {
      await call(`/api/v1/jobs/${encodeURIComponent(target)}`, "PUT", { ...definition, outputs: used, start });
      setProblem("");
      setSaved(start ? t.savedRunning : t.saved);
      if (isNew) navigate(`/jobs/${encodeURIComponent(target)}`);
      else loaded.reload();
    } catch (error) {
      setSaved("");
      setProblem(problemText(error));
    }
  };
  const act = (action: "start" | "stop") =>
    call(`${path}/${action}`, "POST", {}).then(
      () => {
        setProblem("");
        loaded.reload();
      },
      (error) => setProblem(explain(error)),
    );
  return (
    <>
      <header>
        <div>
          <p class="crumb">
            <a href="/jobs">{text.nav.jobs}</a>
          </p>
          <h1>{isNew ? t.newTitle : name}</h1>
        </div>
        {!isNew && mayOperate && (
          <div class="row">
            <button type="button" class="button" onClick={() => void act("start")}>
              <Icon name="play" /> {text.jobs.start}
            </button>
            <button type="button" class="button" onClick={() => void act("stop")}>
              <Icon name="stop" /> {text.jobs.stop}
            </button>
            <button type="button" class="button danger" onClick={() => setRemoving(true)}>
              <Icon name="trash" /> {t.remove}
            </button>
          </div>
        )}
      </header>
      <Trouble problem={problem} />
      {saved && <Banner kind="good">{saved}</Banner>}
      {!isNew && <JobHealth name={name} />}
      <section class="card">
        <div class="card-head">
          <h2>{t.query}</h2>
          <span class="muted small">{t.hint}</span>
        </div>
        <SqlEditor script={definition.query} change={(query) => setDefinition({ ...definition, query })} errors={errors} fields={fields.data?.fields ?? []} label={t.query} />
        <Errors errors={errors} warnings={warnings} />
      </section>
      <PreviewCard name={isNew ? undefined : name} definition={definition} disabled={errors.length > 0 || !mayOperate} />
      <section class="card">
        <h2>{t.outputs}</h2>
        <OutputForms names={outputs} outputs={definition.outputs ?? {}} change={(next) => setDefinition({ ...definition, outputs: next })} />
      </section>
      <SettingsCard definition={definition} change={setDefinition} />
      {mayOperate && (
        <section class="card save-bar" aria-label={text.common.save}>
          {isNew && (
            <label class="inline">
              {t.name}
              <input value={newName} onInput={(e) => setNewName(e.currentTarget.value)} pattern="[A-Za-z0-9][A-Za-z0-9._\-]*" maxLength={64} placeholder="high-values" />
            </label>
          )}
          <button type="button" class="button primary" disabled={errors.length > 0 || (isNew && !newName.trim())} onClick={() => void save(true)}>
            {isNew ? t.createAndStart : t.saveAndStart}
          </button>
          <button type="button" class="button" disabled={errors.length > 0 || (isNew && !newName.trim())} onClick={() => void save(false)}>
            {t.saveOnly}
          </button>
          {!isNew && <span class="muted small">{t.editNote}</span>}
        </section>
      )}
      {removing && (
        <Confirm
          title={t.removeAsk(name)}
          action={t.remove}
          close={() => setRemoving(false)}
          go={async () => {
            await call(path, "DELETE");
            navigate("/jobs");
          }}
        >
          <p>{t.removeText}</p>
        </Confirm>
      )}
    </>
  );
}

/** Asks the server about the script a moment after the last key; names of outputs stay while it is wrong. */
function useCheck(query: string | null): { errors: ScriptError[]; warnings: ScriptError[]; outputs: string[] } {
  const [found, setFound] = useState<{ errors: ScriptError[]; warnings: ScriptError[] }>({ errors: [], warnings: [] });
  const [outputs, setOutputs] = useState<string[]>([]);
  const asked = useRef(0);
  useEffect(() => {
    if (query === null) return undefined;
    const number = ++asked.current;
    const timer = setTimeout(() => {
      call<{ errors: ScriptError[]; warnings: ScriptError[]; outputs?: string[] }>("/api/v1/jobs/check", "POST", { query }).then(
        (answer) => {
          if (number !== asked.current) return;
          setFound(answer);
          if (answer.errors.length === 0) setOutputs(answer.outputs ?? []);
        },
        () => {},
      );
    }, checkAfterMs);
    return () => clearTimeout(timer);
  }, [query]);
  return { ...found, outputs };
}

function Errors({ errors, warnings }: { errors: ScriptError[]; warnings: ScriptError[] }) {
  return (
    <div id="editor-errors" class="editor-errors" role="status" aria-live="polite">
      {errors.length === 0 && warnings.length === 0 && <span class="good-text">{t.noErrors}</span>}
      <ul>
        {errors.map((error) => (
          <li class="bad-text" key={`${error.line}:${error.column}:${error.message}`}>
            <span class="mono">{t.at(error.line, error.column)}</span> {error.message}
          </li>
        ))}
        {warnings.map((warning) => (
          <li class="warn-text" key={`w${warning.line}:${warning.column}:${warning.message}`}>
            <span class="mono">{t.at(warning.line, warning.column)}</span> {warning.message}
          </li>
        ))}
      </ul>
    </div>
  );
}

function PreviewCard({ name, definition, disabled }: { name: string | undefined; definition: Definition; disabled: boolean }) {
  const [seconds, setSeconds] = useState(900);
  const [preview, setPreview] = useState<{ answer: Preview; tookMs: number } | null>(null);
  const [problem, setProblem] = useState("");
  const [busy, setBusy] = useState(false);
  const run = async () => {
    setBusy(true);
    const began = performance.now();
    try {
      const answer = await call<Preview>("/api/v1/jobs/preview", "POST", {
        // With its name the server knows the job's secrets, which are not shown here.
        job: { name, query: definition.query, inputs: definition.inputs, settings: definition.settings },
        from: new Date(Date.now() - seconds * 1000).toISOString(),
        to: new Date().toISOString(),
        limit: 50,
      });
      setPreview({ answer, tookMs: performance.now() - began });
      setProblem("");
    } catch (error) {
      setPreview(null);
      setProblem(problemText(error));
    } finally {
      setBusy(false);
    }
  };
  return (
    <section class="card" aria-busy={busy}>
      <div class="card-head">
        <h2>{t.preview}</h2>
        <div class="row">
          <label class="inline">
            {t.previewOver}
            <select value={String(seconds)} onChange={(e) => setSeconds(Number(e.currentTarget.value))}>
              {previewSpans.map(([label, s]) => (
                <option value={String(s)} key={s}>
                  {t.lastSpan(label)}
                </option>
              ))}
            </select>
          </label>
          <button type="button" class="button" disabled={disabled || busy} onClick={() => void run()}>
            {busy ? t.previewRunning : t.previewRun}
          </button>
        </div>
      </div>
      <Trouble problem={problem} />
      {!preview && !problem && <p class="muted">{t.previewText}</p>}
      {preview && (
        <div role="status">
          <p class="muted num">{t.previewDone(count(preview.answer.events), (preview.tookMs / 1000).toFixed(2), preview.answer.bad)}</p>
          {preview.answer.until && <p class="warn-text">{t.previewUntil(new Date(preview.answer.until).toLocaleString())}</p>}
          {Object.entries(preview.answer.rows).map(([output, rows]) => (
            <Rows key={output} title={t.previewRows(output, count(rows))} rows={preview.answer.first[output] ?? []} />
          ))}
          {preview.answer.badEvents.map((bad) => (
            <p class="warn-text" key={bad}>
              {bad}
            </p>
          ))}
        </div>
      )}
    </section>
  );
}

function Rows({ title, rows, times }: { title: string; rows: Record<string, unknown>[]; times?: string[] }) {
  const columns = [...new Set(rows.flatMap((row) => Object.keys(row)))].slice(0, 24);
  return (
    <div class="rows">
      <h3>{title}</h3>
      {rows.length > 0 && (
        <div class="scroll-x" role="region" aria-label={title} tabIndex={0}>
          <table>
            <thead>
              <tr>
                {times && <th scope="col">{t.rowTime}</th>}
                {columns.map((column) => (
                  <th scope="col" key={column} class={typeof rows[0]?.[column] === "number" ? "num" : ""}>
                    {column}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {rows.map((row, i) => (
                <tr key={i}>
                  {times && (
                    <td>
                      <Time at={times[i]!} brief />
                    </td>
                  )}
                  {columns.map((column) => (
                    <td key={column} class={typeof row[column] === "number" ? "num" : "mono"}>
                      {row[column] === undefined || row[column] === null ? <span class="muted">null</span> : shown(row[column])}
                    </td>
                  ))}
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </div>
  );
}

function SettingsCard({ definition, change }: { definition: Definition; change: (next: Definition) => void }) {
  const settings = definition.settings ?? {};
  const set = (name: string, value: string) => {
    const next = { ...settings };
    if (value === "") delete next[name];
    else next[name] = name === "policy" ? value : Number(value);
    change({ ...definition, settings: Object.keys(next).length > 0 ? next : undefined });
  };
  return (
    <details class="card">
      <summary>
        <h2>{t.settings}</h2>
      </summary>
      <div class="fields">
        <label>
          {t.startFrom}
          <select value={definition.startFrom ?? "now"} onChange={(e) => change({ ...definition, startFrom: e.currentTarget.value })}>
            <option value="now">{t.fromNow}</option>
            <option value="beginning">{t.fromBeginning}</option>
            {definition.startFrom && !["now", "beginning"].includes(definition.startFrom) && <option value={definition.startFrom}>{definition.startFrom}</option>}
          </select>
        </label>
        <label>
          {t.late}
          <input type="number" min="0" max="604800" value={String(settings["late_arrival_seconds"] ?? "")} placeholder="5" onInput={(e) => set("late_arrival_seconds", e.currentTarget.value)} />
        </label>
        <label>
          {t.outOfOrder}
          <input type="number" min="0" max="604800" value={String(settings["out_of_order_seconds"] ?? "")} placeholder="0" onInput={(e) => set("out_of_order_seconds", e.currentTarget.value)} />
        </label>
        <label>
          {t.policy}
          <select value={String(settings["policy"] ?? "")} onChange={(e) => set("policy", e.currentTarget.value)}>
            <option value="">{t.policyAdjust}</option>
            <option value="drop">{t.policyDrop}</option>
          </select>
        </label>
        <label>
          {t.memory}
          <input type="number" min="1" value={String(settings["memory_limit_mb"] ?? "")} placeholder="1024" onInput={(e) => set("memory_limit_mb", e.currentTarget.value)} />
        </label>
      </div>
    </details>
  );
}

/** Status, throughput and lag of a job that exists, and the last rows of its live outputs. */
function JobHealth({ name }: { name: string }) {
  const path = `/api/v1/jobs/${encodeURIComponent(name)}`;
  const { data: status } = useLoad<JobStatus>(`${path}/status`, statusMs);
  const { data: activity } = useLoad<Activity>("/api/v1/activity", activityMs);
  const series = activity?.jobs[name];
  const times = (activity?.times ?? []).slice(1).map((at) => Date.parse(at) / 1000);
  const perSecond = (values: (number | null)[] | undefined) => rates(values ?? []).map((n) => n / (activity?.stepSeconds ?? 10));
  if (!status) return null;
  const facts: [string, preact.ComponentChildren][] = [
    [t.version, status.version],
    [text.jobs.rowsIn, count(status.rowsIn)],
    [text.jobs.rowsOut, count(status.rowsOut)],
    [text.jobs.lag, `${count(status.lagReadings)} ${text.overview.readings}`],
    [text.jobs.bad, <>{count(status.bad)}{status.bad > 0 && <> · <a href={`/dead-letters?job=${encodeURIComponent(name)}`}>{text.nav.deadLetters}</a></>}</>],
    [t.lateEarly, `${count(status.late)} / ${count(status.early)} / ${count(status.outOfOrder)}`],
    [t.watermark, status.watermark ? <Time at={status.watermark} brief /> : "–"],
    [t.exactFrom, status.exactFrom ? <Time at={status.exactFrom} brief /> : "–"],
    [t.state, bytes(status.memoryBytes)],
    [t.snapshot, <Ago at={status.snapshotAt} />],
  ];
  return (
    <>
      <section class="card">
        <div class="card-head">
          <h2>
            {t.status} <Pill state={status.state} />
          </h2>
        </div>
        {status.lastError && <Banner kind="bad">{status.lastError}</Banner>}
        {status.dataLost.length > 0 && <Banner kind="bad">{t.dataLost(status.dataLost.reduce((sum, l) => sum + l.to - l.from, 0))}</Banner>}
        <dl class="facts">
          {facts.map(([label, fact]) => (
            <div key={label}>
              <dt>{label}</dt>
              <dd class="num">{fact}</dd>
            </div>
          ))}
        </dl>
        {status.outputs.length > 0 && (
          <ul class="outputs">
            {status.outputs.map((output) => (
              <li key={output.name}>
                <span class="strong">{output.name}</span> <span class="muted">{text.outputKinds[output.kind] ?? output.kind}</span>{" "}
                <span class="num">{t.outputRows(count(output.rows))}</span> {output.state && <Pill state={output.state} />}{" "}
                {output.pendingRows ? <span class="num warn-text">{t.pending(count(output.pendingRows))}</span> : null}
                {output.lastError && <div class="bad-text small">{output.lastError}</div>}
              </li>
            ))}
          </ul>
        )}
      </section>
      {times.length > 1 && series && (
        <div class="grid wide">
          <section class="card">
            <h2>{text.jobs.throughput}</h2>
            <TrendChart
              times={times}
              series={[
                { label: text.jobs.rowsIn, unit: text.perSecond, values: perSecond(series.rowsIn) },
                { label: text.jobs.rowsOut, unit: text.perSecond, values: perSecond(series.rowsOut) },
              ]}
              label={text.jobs.throughput}
              height={160}
              zero
            />
          </section>
          <section class="card">
            <h2>{text.jobs.lag}</h2>
            <TrendChart times={times} series={[{ label: text.jobs.lag, unit: text.overview.readings, values: series.lagReadings.slice(1) }]} label={text.jobs.lag} height={160} zero />
          </section>
        </div>
      )}
      {status.outputs
        .filter((output) => output.kind === "live")
        .map((output) => (
          <LiveRows key={output.name} job={name} output={output.name} />
        ))}
      {status.outputs.some((output) => output.kind === "alert") && (
        <p class="muted">
          <a href="/alerts">{t.toAlerts}</a>
        </p>
      )}
    </>
  );
}

function LiveRows({ job, output }: { job: string; output: string }) {
  const { data } = useLoad<{ rows: { time: string; data: Record<string, unknown> }[] }>(`/api/v1/jobs/${encodeURIComponent(job)}/rows/${encodeURIComponent(output)}?limit=20`, statusMs);
  const rows = [...(data?.rows ?? [])].reverse();
  return (
    <section class="card">
      <Rows title={rows.length > 0 ? t.lastRows(output) : t.noRows(output)} rows={rows.map((r) => r.data)} times={rows.map((r) => r.time)} />
    </section>
  );
}

function problemText(error: unknown): string {
  const errors = error instanceof Problem ? (error.body["errors"] as ScriptError[] | undefined) : undefined;
  return errors && errors.length > 0 ? errors.map((e) => (e.line > 1 || e.column > 1 ? `${t.at(e.line, e.column)} ${e.message}` : e.message)).join("\n") : explain(error);
}
