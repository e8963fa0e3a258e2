import { useEffect, useState } from "preact/hooks";
import { call, devicePage, explain, useLoad } from "../api";
import { bytes as bytesText, count } from "../format";
import { useOverview } from "../live";
import { Choice } from "../parts/Choice";
import { Banner, Trouble } from "../parts/Messages";
import { Ago, Time } from "../parts/Time";
import { useQueryParameter } from "../router";
import { useMay } from "../session";
import { text } from "../text";

const t = text.letters;
const pageSize = 50;
const bytesShown = 512;
const bytesPerLine = 16;

type Letter = {
  id: string;
  time: string;
  listener: string | null;
  job: string | null;
  reason: string;
  device: string | null;
  detail: string | null;
  bytes: number;
  payload: string | { $base64: string };
};
type Reasons = { reasons: { reason: string; count: number; newest: string }[]; complete: boolean };

/** Readings that were refused and kept: why, what was in them, and once more when the cause is mended. */
export function DeadLettersPage() {
  const [reason, setReason] = useQueryParameter("reason");
  const [listener, setListener] = useQueryParameter("listener");
  const [job, setJob] = useQueryParameter("job");
  const [letters, setLetters] = useState<Letter[] | null>(null);
  const [next, setNext] = useState<string | null>(null);
  const [problem, setProblem] = useState("");
  const [done, setDone] = useState("");
  const [open, setOpen] = useState<string | null>(null);
  const { data: reasons, reload: reloadReasons } = useLoad<Reasons>("/api/v1/dead-letters/reasons", 10_000);
  const overview = useOverview();
  const mayOperate = useMay("operate");

  const load = async (after: string | null) => {
    const query = new URLSearchParams({ limit: String(pageSize) });
    for (const [name, value] of Object.entries({ reason, listener, job, after: after ?? "" })) if (value) query.set(name, value);
    try {
      const page = await call<{ deadLetters: Letter[]; next: string | null }>(`/api/v1/dead-letters?${query}`);
      setLetters((before) => (after ? [...(before ?? []), ...page.deadLetters] : page.deadLetters));
      setNext(page.next);
      setProblem("");
    } catch (error) {
      setProblem(explain(error));
    }
  };
  useEffect(() => void load(null), [reason, listener, job]);

  const redrive = async (wish: Record<string, unknown>) => {
    try {
      const answer = await call<{ accepted: number; rejected: number }>("/api/v1/dead-letters/redrive", "POST", wish);
      setDone(t.redriven(answer.accepted, answer.rejected));
      setProblem("");
      reloadReasons();
      await load(null);
    } catch (error) {
      setProblem(explain(error));
    }
  };
  const all = { reason: reason || undefined, listener: listener || undefined, job: job || undefined };
  return (
    <>
      <header>
        <div>
          <h1>{text.nav.deadLetters}</h1>
          <p class="muted">{t.lead}</p>
        </div>
        {mayOperate && (
          <button type="button" class="button" disabled={!letters?.length} onClick={() => void redrive(all)}>
            {reason ? t.redriveReason(text.reasons[reason] ?? reason) : t.redriveAll}
          </button>
        )}
      </header>
      <Trouble problem={problem} />
      {done && (
        <Banner kind="info" close={() => setDone("")}>
          {done}
        </Banner>
      )}
      {reasons && reasons.reasons.length > 0 && (
        <section class="tiles" aria-label={t.byReason}>
          <button type="button" class="tile" aria-pressed={reason === ""} onClick={() => setReason("")}>
            <strong class="num">{count(reasons.reasons.reduce((sum, r) => sum + r.count, 0))}{reasons.complete ? "" : "+"}</strong>
            <span>{text.common.all}</span>
          </button>
          {reasons.reasons.map((r) => (
            <button type="button" class="tile" key={r.reason} aria-pressed={reason === r.reason} onClick={() => setReason(r.reason)}>
              <strong class="num">{count(r.count)}</strong>
              <span>{text.reasons[r.reason] ?? r.reason}</span>
              <span class="muted small">
                <Ago at={r.newest} />
              </span>
            </button>
          ))}
        </section>
      )}
      <section class="card flush">
        <div class="filters">
          <Choice label={text.devices.listener} value={listener} change={setListener} any={text.common.any} options={(overview?.listeners ?? []).map((l) => [l.name, l.name] as const)} />
          <Choice label={t.job} value={job} change={setJob} any={text.common.any} options={(overview?.jobs ?? []).map((j) => [j.name, j.name] as const)} />
        </div>
        {letters?.length === 0 && <p class="empty">{t.none}</p>}
        <ul class="letters">
          {letters?.map((letter) => (
            <li key={letter.id}>
              <div class="letter-head">
                <span class="pill warn">{text.reasons[letter.reason] ?? letter.reason}</span>
                <Time at={letter.time} brief />
                <span class="muted">{letter.job ? t.ofJob(letter.job) : letter.listener}</span>
                {letter.device && (
                  <a class="mono" href={devicePage(letter.device)}>
                    {letter.device}
                  </a>
                )}
                <span class="muted num">{bytesText(letter.bytes)}</span>
                <span class="push row tight">
                  <button type="button" class="button small" aria-expanded={open === letter.id} onClick={() => setOpen(open === letter.id ? null : letter.id)}>
                    {open === letter.id ? t.hide : t.show}
                  </button>
                  {mayOperate && (
                    <button type="button" class="button small" onClick={() => void redrive({ ids: [letter.id] })}>
                      {t.redrive}
                    </button>
                  )}
                </span>
              </div>
              {letter.detail && <p class="muted small">{letter.detail}</p>}
              {open === letter.id ? <Bytes letter={letter} /> : <code class="preview">{printable(bytesOf(letter).slice(0, 160))}</code>}
            </li>
          ))}
        </ul>
        {next && (
          <p class="more">
            <button type="button" class="button" onClick={() => void load(next)}>
              {text.common.more}
            </button>
          </p>
        )}
      </section>
    </>
  );
}

function bytesOf(letter: Letter): Uint8Array {
  return typeof letter.payload === "string" ? new TextEncoder().encode(letter.payload) : Uint8Array.from(atob(letter.payload.$base64), (c) => c.charCodeAt(0));
}

/** As text, with a dot for what cannot be shown; nothing of it is ever markup. */
const printable = (bytes: Uint8Array): string => new TextDecoder().decode(bytes).replace(/[^\P{C}\n\t]|\uFFFD/gu, "·");

function Bytes({ letter }: { letter: Letter }) {
  const bytes = bytesOf(letter);
  const part = bytes.slice(0, bytesShown);
  const lines = Array.from({ length: Math.ceil(part.length / bytesPerLine) }, (_, i) => part.slice(i * bytesPerLine, (i + 1) * bytesPerLine));
  return (
    <div class="bytes">
      <div>
        <h3>{t.text}</h3>
        <pre tabIndex={0}>{printable(bytes)}</pre>
      </div>
      <div>
        <h3>{t.hex}</h3>
        <pre tabIndex={0}>
          {lines.map((line, i) => {
            const hex = [...line].map((b) => b.toString(16).padStart(2, "0")).join(" ");
            const plain = [...line].map((b) => (b >= 32 && b < 127 ? String.fromCharCode(b) : ".")).join("");
            return `${(i * bytesPerLine).toString(16).padStart(4, "0")}  ${hex.padEnd(bytesPerLine * 3)} ${plain}\n`;
          })}
          {bytes.length > bytesShown && t.moreBytes(bytes.length - bytesShown)}
        </pre>
      </div>
    </div>
  );
}
