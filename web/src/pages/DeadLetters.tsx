import { useEffect, useState } from "preact/hooks";
import { Problem, call } from "../api";
import { localTime } from "../format";
import { text } from "../text";

type Letter = { id: number; at: string; listener?: string; reason: string; device?: string; detail?: string; payload: string };

/** Base64 as text where it is printable, and as hex. */
function views(base64: string): { plain: string; hex: string } {
  const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
  const plain = new TextDecoder().decode(bytes.slice(0, 400)).replace(/[^\P{C}\n\t]/gu, "·");
  const hex = [...bytes.slice(0, 64)].map((b) => b.toString(16).padStart(2, "0")).join(" ");
  return { plain, hex };
}

export function DeadLettersPage() {
  const [letters, setLetters] = useState<Letter[]>([]);
  const [reason, setReason] = useState("");
  const [problem, setProblem] = useState("");
  const load = () => {
    const query = new URLSearchParams({ limit: "100" });
    if (reason) query.set("reason", reason);
    call<{ deadLetters: Letter[] }>(`/api/v1/dead-letters?${query}`).then(
      (page) => setLetters(page.deadLetters),
      (e) => setProblem(e instanceof Problem ? `${e.message} ${e.detail}` : text.common.error),
    );
  };
  useEffect(load, [reason]);
  const reasons = [...new Set(letters.map((l) => l.reason))];
  return (
    <>
      <header>
        <h1>{text.nav.deadLetters}</h1>
        <select aria-label="Reason" value={reason} onChange={(e) => setReason(e.currentTarget.value)}>
          <option value="">{text.devices.all}</option>
          {[...new Set([...reasons, ...(reason ? [reason] : [])])].map((r) => (
            <option value={r}>{r}</option>
          ))}
        </select>
      </header>
      {problem && <p class="banner bad">{problem}</p>}
      <section class="card scroll-x" tabIndex={0} role="region" aria-label={text.nav.deadLetters}>
        <table>
          <thead>
            <tr>
              <th scope="col">{text.device.receivedAt}</th>
              <th scope="col">{text.overview.listener}</th>
              <th scope="col">Reason</th>
              <th scope="col">{text.device.data}</th>
            </tr>
          </thead>
          <tbody>
            {letters.map((letter) => {
              const { plain, hex } = views(letter.payload ?? "");
              return (
                <tr key={letter.id}>
                  <td class="num" title={letter.at}>
                    {localTime(letter.at)}
                  </td>
                  <td>{letter.listener}</td>
                  <td>
                    <span class="pill warn">{letter.reason}</span>
                    <div class="muted">{letter.detail}</div>
                  </td>
                  <td class="mono">
                    {plain}
                    <div class="muted">{hex}</div>
                  </td>
                </tr>
              );
            })}
          </tbody>
        </table>
        {letters.length === 0 && <p class="empty">—</p>}
      </section>
    </>
  );
}
