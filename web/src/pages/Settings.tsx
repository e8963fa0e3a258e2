import { useContext, useState } from "preact/hooks";
import { type Status, call, useLoad } from "../api";
import { bytes, exact, span } from "../format";
import { Confirm, Dialog } from "../parts/Dialog";
import { Icon } from "../parts/Icon";
import { Pill } from "../parts/Messages";
import { Snippet } from "../parts/Snippet";
import { Table } from "../parts/Table";
import { Ago, Time } from "../parts/Time";
import { SessionContext, useMay } from "../session";
import { text } from "../text";

const t = text.settings;

type Token = { id: number; name: string; role: string; createdAt: string; lastUsedAt: string | null };

export function SettingsPage() {
  const { data: status } = useLoad<Status>("/api/v1/status", 30_000);
  const session = useContext(SessionContext);
  const mayAdmin = useMay("admin");
  return (
    <>
      <header>
        <h1>{text.nav.settings}</h1>
        {session?.mode === "token" && (
          <div class="row">
            <span class="muted">{t.signedInAs(session.name ?? "", text.roles[session.role ?? ""] ?? "")}</span>
            <button type="button" class="button" onClick={() => void call("/api/v1/session", "DELETE").finally(() => location.reload())}>
              {text.signIn.out}
            </button>
          </div>
        )}
      </header>
      {status && (
        <>
          <div class="grid wide">
            <section class="card">
              <h2>{t.listeners}</h2>
              <table>
                <thead>
                  <tr>
                    <th scope="col">{text.overview.listener}</th>
                    <th scope="col">{text.overview.endpoint}</th>
                    <th scope="col">{t.purpose}</th>
                  </tr>
                </thead>
                <tbody>
                  {Object.entries(status.endpoints).map(([name, endpoint]) => (
                    <tr key={name}>
                      <th scope="row">{name}</th>
                      <td class="mono nowrap">{endpoint}</td>
                      <td class="muted">{t.purposes[name] ?? ""}</td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </section>
            <section class="card">
              <h2>{t.security}</h2>
              <p>
                <Pill state={status.mode === "token" ? "running" : "waiting"} label={status.mode} /> {status.mode === "token" ? t.tokenMode : t.openMode}
              </p>
              <p class="muted small">{t.changeHow}</p>
            </section>
            <Retention status={status} />
            <section class="card">
              <h2>{t.server}</h2>
              <dl class="facts">
                <Fact label={t.version}>{status.version}</Fact>
                <Fact label={t.since}>
                  <Time at={status.startedAt} />
                </Fact>
                <Fact label={t.folder}>
                  <span class="mono">{status.disk.folder}</span>
                </Fact>
                <Fact label={t.memory}>{bytes(status.process.memoryBytes)}</Fact>
                <Fact label={t.api}>
                  <a href="/openapi/v1.json">/openapi/v1.json</a>
                </Fact>
                <Fact label={t.metrics}>
                  <a href="/metrics">/metrics</a>
                </Fact>
              </dl>
            </section>
          </div>
          {mayAdmin && <Tokens mode={status.mode} />}
        </>
      )}
    </>
  );
}

function Retention({ status }: { status: Status }) {
  const { log, disk } = status;
  return (
    <section class="card">
      <h2>{t.retention}</h2>
      <dl class="facts">
        <Fact label={t.kept}>{log.retention ? span(log.retention.ageSeconds) : "–"}</Fact>
        <Fact label={t.budget}>{log.retention ? (log.retention.bytes ? bytes(log.retention.bytes) : t.halfDisk) : "–"}</Fact>
        <Fact label={t.held}>{log.bytes !== undefined ? bytes(log.bytes) : "–"}</Fact>
        <Fact label={t.oldest}>{log.oldestAt ? <Ago at={log.oldestAt} /> : "–"}</Fact>
        <Fact label={t.readings}>{exact(log.partitions.reduce((sum, p) => sum + p.next - p.oldest, 0))}</Fact>
        <Fact label={t.disk}>{disk.totalBytes && disk.freeBytes != null ? t.diskFree(bytes(disk.freeBytes), bytes(disk.totalBytes)) : "–"}</Fact>
      </dl>
    </section>
  );
}

function Tokens({ mode }: { mode: string }) {
  const { data, reload } = useLoad<{ tokens: Token[] }>("/api/v1/tokens");
  const [making, setMaking] = useState(false);
  const [made, setMade] = useState<{ name: string; token: string } | null>(null);
  const [revoking, setRevoking] = useState<Token | null>(null);
  return (
    <section class="card flush">
      <div class="card-head padded">
        <h2>{t.tokens}</h2>
        <span class="muted small">{mode === "open" ? t.tokensOpen : t.tokensText}</span>
        <button type="button" class="button primary push" onClick={() => setMaking(true)}>
          <Icon name="plus" /> {t.makeToken}
        </button>
      </div>
      {data && data.tokens.length > 0 && (
        <Table
          label={t.tokens}
          heads={[
            { label: t.name },
            { label: t.role },
            { label: t.made },
            { label: t.used },
            { label: text.jobs.actions, hidden: true },
          ]}
        >
          {data.tokens.map((token) => (
            <tr key={token.id}>
              <th scope="row">{token.name}</th>
              <td>
                {text.roles[token.role]} <span class="muted small">{t.roleTexts[token.role]}</span>
              </td>
              <td>
                <Time at={token.createdAt} />
              </td>
              <td>
                <Ago at={token.lastUsedAt} />
              </td>
              <td class="end">
                <button type="button" class="button small danger" onClick={() => setRevoking(token)}>
                  {t.revoke}
                  <span class="visually-hidden"> {token.name}</span>
                </button>
              </td>
            </tr>
          ))}
        </Table>
      )}
      {data?.tokens.length === 0 && <p class="empty">{t.noTokens}</p>}
      {making && (
        <Dialog
          title={t.makeToken}
          action={t.makeToken}
          close={() => setMaking(false)}
          submit={async (form) => {
            const name = String(form.get("name"));
            const { token } = await call<{ token: string }>("/api/v1/tokens", "POST", { name, role: form.get("role") });
            setMaking(false);
            setMade({ name, token });
            reload();
          }}
        >
          <label>
            {t.name}
            <input name="name" required maxLength={100} autoFocus autocomplete="off" placeholder={t.namePlaceholder} />
          </label>
          <label>
            {t.role}
            <select name="role">
              {Object.keys(text.roles).map((role) => (
                <option value={role} key={role}>
                  {text.roles[role]}: {t.roleTexts[role]}
                </option>
              ))}
            </select>
          </label>
        </Dialog>
      )}
      {made && (
        <Dialog title={t.madeTitle(made.name)} close={() => setMade(null)}>
          <p>{t.once}</p>
          <Snippet line={made.token} label={t.token} />
        </Dialog>
      )}
      {revoking && (
        <Confirm
          title={t.revokeAsk(revoking.name)}
          action={t.revoke}
          close={() => setRevoking(null)}
          go={async () => {
            await call(`/api/v1/tokens/${revoking.id}`, "DELETE");
            setRevoking(null);
            reload();
          }}
        >
          <p>{t.revokeText}</p>
        </Confirm>
      )}
    </section>
  );
}

function Fact({ label, children }: { label: string; children: preact.ComponentChildren }) {
  return (
    <div>
      <dt>{label}</dt>
      <dd class="num">{children}</dd>
    </div>
  );
}
