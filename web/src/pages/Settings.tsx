import { useEffect, useState } from "preact/hooks";
import { type Status, call } from "../api";
import { localTime } from "../format";
import { text } from "../text";

type Token = { id: number; name: string; role: string; createdAt: string };

export function SettingsPage({ status }: { status: Status | null }) {
  const [tokens, setTokens] = useState<Token[]>([]);
  useEffect(() => {
    call<{ tokens: Token[] }>("/api/v1/tokens").then((page) => setTokens(page.tokens), () => {});
  }, []);
  return (
    <>
      <header>
        <h1>{text.nav.settings}</h1>
        {status?.mode === "token" && (
          <button type="button" class="button" onClick={() => void call("/api/v1/session", "DELETE").finally(() => location.reload())}>
            {text.signIn.out}
          </button>
        )}
      </header>
      <section class="card">
        <h2>{text.overview.listeners}</h2>
        <table>
          <tbody>
            {Object.entries(status?.endpoints ?? {}).map(([name, endpoint]) => (
              <tr key={name}>
                <th scope="row">{name}</th>
                <td class="mono">{endpoint}</td>
              </tr>
            ))}
            <tr>
              <th scope="row">security</th>
              <td>{status?.mode}</td>
            </tr>
          </tbody>
        </table>
      </section>
      <section class="card">
        <h2>API tokens</h2>
        <table>
          <tbody>
            {tokens.map((token) => (
              <tr key={token.id}>
                <th scope="row">{token.name}</th>
                <td>{token.role}</td>
                <td title={token.createdAt}>{localTime(token.createdAt)}</td>
              </tr>
            ))}
          </tbody>
        </table>
        {tokens.length === 0 && <p class="empty">—</p>}
      </section>
    </>
  );
}
