import { useEffect, useState } from "preact/hooks";
import { Problem, call, explain } from "../api";
import { Trouble } from "../parts/Messages";
import { text } from "../text";

const t = text.signIn;
/** What the server takes off its own limit when it does not say. */
const lockSeconds = 60;

export function SignIn() {
  const [problem, setProblem] = useState("");
  const [locked, setLocked] = useState(0);
  useEffect(() => {
    document.title = `${t.title} · ${text.app}`;
  }, []);
  useEffect(() => {
    if (locked <= 0) return undefined;
    const timer = setTimeout(() => setLocked(locked - 1), 1000);
    return () => clearTimeout(timer);
  }, [locked]);
  const go = async (event: SubmitEvent) => {
    event.preventDefault();
    const token = String(new FormData(event.currentTarget as HTMLFormElement).get("token")).trim();
    try {
      await call("/api/v1/session", "POST", { token });
      location.reload();
    } catch (error) {
      setProblem(explain(error));
      if (error instanceof Problem && error.status === 429) setLocked(error.retryAfter || lockSeconds);
    }
  };
  return (
    <main class="sign-in">
      <section class="card">
        <form class="form" onSubmit={go}>
          <div class="sign-in-head">
            <img src="/icon.svg" alt="" width="40" height="40" />
            <h1>{t.heading}</h1>
          </div>
          <label>
            {t.token}
            <input name="token" type="password" autocomplete="current-password" required autoFocus />
          </label>
          <Trouble problem={problem} />
          {locked > 0 && (
            <p class="warn-text num" role="status">
              {t.locked(locked)}
            </p>
          )}
          <button class="button primary" disabled={locked > 0}>
            {t.go}
          </button>
          <p class="muted small">{t.hint}</p>
        </form>
      </section>
    </main>
  );
}
