import { useEffect, useMemo, useState } from "preact/hooks";
import { type Alert, type Severity, call, devicePage, explain, severities, useLoad } from "../api";
import { badgeOn, setBadge, setSound, soundOn } from "../alarm";
import { count, shown, span } from "../format";
import { useOverview } from "../live";
import { Choice } from "../parts/Choice";
import { Dialog } from "../parts/Dialog";
import { Pill, Trouble } from "../parts/Messages";
import { Ago, Time } from "../parts/Time";
import { useQueryParameter } from "../router";
import { useMay } from "../session";
import { text } from "../text";

const t = text.alerts;
const pageSize = 100;
const states = ["open", "raised", "acknowledged", "cleared", "all"] as const;

/** The alerts as an operator works through them; the list follows the stream's counts, so it is new within a second. */
export function AlertsPage() {
  const [state, setState] = useQueryParameter("state", "open");
  const [severity, setSeverity] = useQueryParameter("severity");
  const [rule, setRule] = useQueryParameter("rule");
  const [device, setDevice] = useQueryParameter("device");
  const [shownId, setShownId] = useQueryParameter("alert");
  const [alerts, setAlerts] = useState<Alert[] | null>(null);
  const [next, setNext] = useState<string | null>(null);
  const [chosen, setChosen] = useState<ReadonlySet<number>>(new Set());
  const [acknowledging, setAcknowledging] = useState<number[] | null>(null);
  const [problem, setProblem] = useState("");
  const [done, setDone] = useState("");
  const mayOperate = useMay("operate");
  const overview = useOverview();
  const version = useMemo(() => JSON.stringify(overview?.alerts ?? []), [overview]);

  const query = (after: string | null, limit = pageSize) => {
    const parameters = new URLSearchParams({ state, limit: String(limit) });
    for (const [name, value] of Object.entries({ severity, rule, device, after: after ?? "" })) if (value) parameters.set(name, value);
    return call<{ alerts: Alert[]; next: string | null }>(`/api/v1/alerts?${parameters}`);
  };
  const load = () =>
    query(null, Math.min(1000, Math.max(pageSize, alerts?.length ?? 0))).then(
      (page) => {
        setAlerts(page.alerts);
        setNext(page.next);
        setProblem("");
      },
      (error) => setProblem(explain(error)),
    );
  const more = () =>
    query(next).then(
      (page) => {
        setAlerts((before) => [...(before ?? []), ...page.alerts]);
        setNext(page.next);
      },
      (error) => setProblem(explain(error)),
    );
  useEffect(() => {
    const timer = setTimeout(() => void load(), 120);
    return () => clearTimeout(timer);
  }, [state, severity, rule, device, version]);
  useEffect(() => setChosen(new Set()), [state, severity, rule, device]);

  const open = (alerts ?? []).filter((alert) => alert.state === "raised");
  const choose = (ids: number[], on: boolean) => {
    const changed = new Set(chosen);
    for (const id of ids) if (on) changed.add(id);
      else changed.delete(id);
    setChosen(changed);
  };
  const acknowledge = async (form: FormData) => {
    const ids = acknowledging!;
    const answer = await call<{ acknowledged: number; skipped: number[] }>("/api/v1/alerts/acknowledge", "POST", { ids, note: String(form.get("note")) || undefined });
    setAcknowledging(null);
    setChosen(new Set());
    setDone(t.acknowledgedMany(answer.acknowledged, answer.skipped.length));
    void load();
  };
  const picked = [...chosen].filter((id) => open.some((alert) => alert.id === id));
  return (
    <>
      <header>
        <div>
          <h1>{text.nav.alerts}</h1>
          <Counts overview={overview?.alerts ?? []} />
        </div>
        <Signals />
      </header>
      <Trouble problem={problem} />
      <p class="visually-hidden" role="status">
        {done}
      </p>
      <section class="card flush">
        <div class="filters">
          <div class="segments" role="group" aria-label={t.state}>
            {states.map((s) => (
              <button type="button" key={s} aria-pressed={state === s} onClick={() => setState(s)}>
                {t.states[s]}
              </button>
            ))}
          </div>
          <Choice label={t.severity} value={severity} change={setSeverity} any={text.common.all} options={severities.map((s) => [s, text.states[s] ?? s] as const)} />
          <label class="inline">
            {t.rule}
            <input type="search" value={rule} onInput={(e) => setRule(e.currentTarget.value.trim())} size={14} />
          </label>
          <label class="inline">
            {t.device}
            <input type="search" value={device} onInput={(e) => setDevice(e.currentTarget.value.trim())} size={14} />
          </label>
          {mayOperate && (
            <button type="button" class="button primary push" disabled={picked.length === 0} onClick={() => setAcknowledging(picked)}>
              {picked.length > 1 ? t.acknowledgeMany(picked.length) : t.acknowledge}
            </button>
          )}
        </div>
        {alerts && alerts.length > 0 && (
          <div class="scroll-x" role="region" aria-label={text.nav.alerts} tabIndex={0}>
            <table class="alerts">
              <thead>
                <tr>
                  {mayOperate && (
                    <th scope="col" class="tick">
                      <input
                        type="checkbox"
                        aria-label={t.chooseAll}
                        checked={open.length > 0 && picked.length === open.length}
                        disabled={open.length === 0}
                        onChange={(e) => choose(open.map((a) => a.id), e.currentTarget.checked)}
                      />
                    </th>
                  )}
                  <th scope="col">{t.severity}</th>
                  <th scope="col">{t.message}</th>
                  <th scope="col">{t.device}</th>
                  <th scope="col">{t.state}</th>
                  <th scope="col">{t.raised}</th>
                  <th scope="col">{t.last}</th>
                  <th scope="col" class="num">
                    {t.rows}
                  </th>
                  <th scope="col" class="num">
                    {t.suppressed}
                  </th>
                </tr>
              </thead>
              <tbody>
                {alerts.map((alert) => (
                  <tr key={alert.id} class={`sev-${alert.severity} ${alert.state}`}>
                    {mayOperate && (
                      <td class="tick">
                        {alert.state === "raised" && (
                          <input type="checkbox" aria-label={t.choose(alert.message)} checked={chosen.has(alert.id)} onChange={(e) => choose([alert.id], e.currentTarget.checked)} />
                        )}
                      </td>
                    )}
                    <td>
                      <Pill state={alert.severity} />
                    </td>
                    <td class="message">
                      <button type="button" class="link strong" onClick={() => setShownId(String(alert.id))}>
                        {alert.message}
                      </button>
                      <div class="muted small">
                        {alert.rule}
                        {alert.gap && <> · {t.gap}</>}
                        {alert.note && <> · “{alert.note}”</>}
                      </div>
                    </td>
                    <td>
                      {alert.device && (
                        <a class="mono" href={devicePage(alert.device)}>
                          {alert.device}
                        </a>
                      )}
                    </td>
                    <td>
                      <Pill state={alert.state} />
                      {alert.acknowledgedBy && <div class="muted small">{alert.acknowledgedBy}</div>}
                    </td>
                    <td>
                      <Time at={alert.raisedAt} brief />
                    </td>
                    <td>
                      <Ago at={alert.lastAt} />
                    </td>
                    <td class="num">{count(alert.rows)}</td>
                    <td class="num">{count(alert.suppressed)}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        )}
        {alerts?.length === 0 && <p class="empty">{state === "open" ? t.noneOpen : t.none}</p>}
        {next && (
          <p class="more">
            <button type="button" class="button" onClick={() => void more()}>
              {text.common.more}
            </button>
          </p>
        )}
      </section>
      {acknowledging && (
        <Dialog title={acknowledging.length > 1 ? t.acknowledgeMany(acknowledging.length) : t.acknowledge} action={t.acknowledge} close={() => setAcknowledging(null)} submit={acknowledge}>
          <label>
            {t.note}
            <textarea name="note" rows={3} maxLength={2000} placeholder={t.notePlaceholder} autoFocus />
          </label>
        </Dialog>
      )}
      {shownId && <AlertDialog id={shownId} close={() => setShownId("")} acknowledge={mayOperate ? (id) => setAcknowledging([id]) : undefined} version={version} />}
    </>
  );
}

function Counts({ overview }: { overview: { severity: Severity; state: string; count: number }[] }) {
  const of = (severity: Severity, state?: string) => overview.filter((a) => a.severity === severity && (!state || a.state === state)).reduce((sum, a) => sum + a.count, 0);
  return (
    <p class="counts">
      {severities.map((s) => (
        <span key={s} class={`count-of ${of(s) > 0 ? s : "none"}`}>
          <strong class="num">{count(of(s))}</strong> {text.states[s]}
          {of(s, "raised") > 0 && <span class="muted"> ({t.notYet(count(of(s, "raised")))})</span>}
        </span>
      ))}
    </p>
  );
}

/** How new alerts are made known in this browser. */
function Signals() {
  const [sound, changeSound] = useState(soundOn);
  const [badge, changeBadge] = useState(badgeOn);
  return (
    <div class="row">
      <label class="check">
        <input
          type="checkbox"
          checked={sound}
          onChange={(e) => {
            setSound(e.currentTarget.checked);
            changeSound(e.currentTarget.checked);
          }}
        />
        {t.sound}
      </label>
      <label class="check">
        <input
          type="checkbox"
          checked={badge}
          onChange={(e) => {
            setBadge(e.currentTarget.checked);
            changeBadge(e.currentTarget.checked);
          }}
        />
        {t.badge}
      </label>
    </div>
  );
}

type History = { events: { at: string; kind: string; who: string | null; note: string | null }[]; earlier: Alert[] };

function AlertDialog({ id, close, acknowledge, version }: { id: string; close: () => void; acknowledge?: (id: number) => void; version: string }) {
  const { data: alert, problem, reload } = useLoad<Alert>(`/api/v1/alerts/${id}`);
  const { data: history, reload: reloadHistory } = useLoad<History>(`/api/v1/alerts/${id}/history`);
  useEffect(() => {
    reload();
    reloadHistory();
  }, [version]);
  return (
    <Dialog title={alert ? alert.message : t.one(id)} close={close} wide>
      <Trouble problem={problem} />
      {alert && (
        <>
          <div class="row">
            <Pill state={alert.severity} /> <Pill state={alert.state} />
            {alert.device && (
              <a class="mono" href={devicePage(alert.device)}>
                {alert.device}
              </a>
            )}
            {acknowledge && alert.state === "raised" && (
              <button type="button" class="button primary push" onClick={() => acknowledge(alert.id)}>
                {t.acknowledge}
              </button>
            )}
          </div>
          <dl class="facts">
            <Fact label={t.rule}>{alert.rule}</Fact>
            <Fact label={t.job}>{alert.job === "server" ? t.server : <a href={`/jobs/${encodeURIComponent(alert.job)}`}>{alert.job}</a>}</Fact>
            <Fact label={t.raised}>
              <Time at={alert.raisedAt} />
            </Fact>
            <Fact label={t.lasted}>{span((Date.parse(alert.clearedAt ?? new Date().toISOString()) - Date.parse(alert.raisedAt)) / 1000)}</Fact>
            <Fact label={t.rows}>{count(alert.rows)}</Fact>
            <Fact label={t.suppressed}>{t.suppressedOf(count(alert.suppressed), count(alert.notified))}</Fact>
          </dl>
          <h3>{t.lastRow}</h3>
          <dl class="facts">
            {Object.entries(alert.fields).map(([name, value]) => (
              <Fact label={name} key={name}>
                <span class="mono">{shown(value)}</span>
              </Fact>
            ))}
          </dl>
        </>
      )}
      {history && (
        <>
          <h3>{t.history}</h3>
          <ol class="timeline">
            {history.events.map((event, i) => (
              <li class={event.kind} key={i}>
                <Time at={event.at} /> <strong>{t.events[event.kind] ?? event.kind}</strong> {event.who && <span>{t.by(event.who)}</span>}
                {event.note && <p>“{event.note}”</p>}
              </li>
            ))}
          </ol>
          {history.earlier.length > 0 && (
            <>
              <h3>{t.earlier}</h3>
              <ul class="plain">
                {history.earlier.map((before) => (
                  <li key={before.id}>
                    <Time at={before.raisedAt} /> <span class="muted">{before.clearedAt && span((Date.parse(before.clearedAt) - Date.parse(before.raisedAt)) / 1000)}</span> {before.message}
                  </li>
                ))}
              </ul>
            </>
          )}
        </>
      )}
    </Dialog>
  );
}

function Fact({ label, children }: { label: string; children: preact.ComponentChildren }) {
  return (
    <div>
      <dt>{label}</dt>
      <dd>{children}</dd>
    </div>
  );
}
