import { useState } from "preact/hooks";
import { Problem, call } from "../api";
import { text } from "../text";

const t = text.signIn;

export function SignIn() {
  const [problem, setProblem] = useState("");
  const go = async (event: SubmitEvent) => {
    event.preventDefault();
    const token = String(new FormData(event.currentTarget as HTMLFormElement).get("token")).trim();
    try {
      await call("/api/v1/session", "POST", { token });
      location.reload();
    } catch (e) {
      setProblem(e instanceof Problem ? `${e.message} ${e.detail}` : text.common.error);
    }
  };
  return (
    <main class="page">
      <section class="card">
        <form class="form" onSubmit={go}>
          <h1>
            {text.app}: {t.title}
          </h1>
          <p class="muted">{t.hint}</p>
          <label>
            {t.token}
            <input name="token" type="password" autoComplete="current-password" required autoFocus />
          </label>
          {problem && (
            <p class="banner bad" role="alert">
              {problem}
            </p>
          )}
          <div>
            <button class="button primary">{t.go}</button>
          </div>
        </form>
      </section>
    </main>
  );
}
