import type { ComponentChildren, ComponentType } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { type Overview, type Session, type Status, call, setSignedOut } from "./api";
import { setTitle, watchAlerts } from "./alarm";
import { type Connection, watchOverview } from "./live";
import { Icon, type IconName } from "./parts/Icon";
import { Banner } from "./parts/Messages";
import { AlertsPage } from "./pages/Alerts";
import { DevicesPage } from "./pages/Devices";
import { OverviewPage } from "./pages/Overview";
import { SignIn } from "./pages/SignIn";
import { SessionContext } from "./session";
import { usePath } from "./router";
import { text } from "./text";

const stored = localStorage.getItem("theme");
const initialTheme = stored ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
document.documentElement.dataset.theme = initialTheme;

const links: [string, string, IconName][] = [
  ["/", text.nav.overview, "overview"],
  ["/devices", text.nav.devices, "devices"],
  ["/trends", text.nav.trends, "trends"],
  ["/alerts", text.nav.alerts, "alerts"],
  ["/jobs", text.nav.jobs, "jobs"],
  ["/dead-letters", text.nav.deadLetters, "letters"],
  ["/settings", text.nav.settings, "settings"],
];

export function App() {
  const path = usePath();
  const [theme, setTheme] = useState(initialTheme);
  const [out, setOut] = useState(false);
  const [connection, setConnection] = useState<Connection>("opening");
  const [status, setStatus] = useState<Status | null>(null);
  const [session, setSession] = useState<Session | null>(null);
  const [open, setOpen] = useState({ raised: 0, critical: false });
  const [restarted, setRestarted] = useState(false);
  const startedAt = useRef("");

  useEffect(() => {
    document.documentElement.dataset.theme = theme;
    dispatchEvent(new Event("themechange"));
  }, [theme]);

  useEffect(() => {
    setSignedOut(() => setOut(true));
    call<Session>("/api/v1/session").then(setSession, () => {});
    call<Status>("/api/v1/status").then(setStatus, () => {});
  }, []);

  useEffect(() => {
    if (out) return undefined;
    const told = (next: Connection, overview: Overview | null) => {
      setConnection(next);
      if (!overview) return;
      if (startedAt.current && overview.startedAt !== startedAt.current) {
        setRestarted(true);
        call<Status>("/api/v1/status").then(setStatus, () => {});
      }
      startedAt.current = overview.startedAt;
      const raised = (overview.alerts ?? []).filter((a) => a.state === "raised");
      const now = { raised: raised.reduce((sum, a) => sum + a.count, 0), critical: raised.some((a) => a.severity === "critical") };
      setOpen((before) => (before.raised === now.raised && before.critical === now.critical ? before : now));
      watchAlerts(now.raised);
    };
    return watchOverview(told);
  }, [out]);

  useEffect(() => {
    const link = links.find(([href]) => (href === "/" ? path === "/" : path.startsWith(href)));
    const part = /^\/(devices|jobs)\/./.test(path) ? safeDecode(path.slice(path.indexOf("/", 1) + 1)) : (link?.[1] ?? text.common.notFound);
    setTitle(out ? text.signIn.title : `${part} · ${text.app}`);
  }, [path, out]);

  if (out) return <SignIn />;

  const current = (href: string) => (href === "/" ? path === "/" : path === href || path.startsWith(`${href}/`));
  const chooseTheme = () => {
    const next = theme === "dark" ? "light" : "dark";
    localStorage.setItem("theme", next);
    setTheme(next);
  };
  return (
    <SessionContext.Provider value={session}>
      <div class="shell">
        <a class="skip" href="#main">
          {text.nav.skip}
        </a>
        <aside class="rail">
          <a class="logo" href="/" aria-label={text.app}>
            <img src="/icon.svg" alt="" width="28" height="28" />
            <span>{text.app}</span>
          </a>
          <nav aria-label={text.nav.label}>
            {links.map(([href, label, icon]) => (
              <a href={href} aria-current={current(href) ? "page" : undefined} key={href}>
                <Icon name={icon} />
                <span>{label}</span>
                {href === "/alerts" && open.raised > 0 && (
                  <span class={`count ${open.critical ? "critical" : ""}`}>
                    {open.raised > 999 ? "999+" : open.raised}
                    <span class="visually-hidden"> {text.alerts.unacknowledged}</span>
                  </span>
                )}
              </a>
            ))}
          </nav>
          <div class="foot">
            <button type="button" class="quiet" onClick={chooseTheme} aria-label={theme === "dark" ? text.theme.toLight : text.theme.toDark}>
              <Icon name={theme === "dark" ? "sun" : "moon"} />
              <span>{theme === "dark" ? text.theme.toLight : text.theme.toDark}</span>
            </button>
            <span class={`link-state ${connection}`} title={text.connection[connection]}>
              <span class="dot" aria-hidden="true" />
              <span>{text.connection[connection]}</span>
            </span>
            <span class="version">{status ? text.version(status.version) : ""}</span>
          </div>
        </aside>
        <div class="content">
          <div role="status" aria-live="polite">
            {connection === "lost" && <Banner kind="warn">{text.connection.lostLong}</Banner>}
            {connection !== "lost" && restarted && (
              <Banner kind="info" close={() => setRestarted(false)}>
                {text.connection.restarted}
              </Banner>
            )}
          </div>
          <main class="page" id="main" tabIndex={-1}>
            <Page path={path} status={status} />
          </main>
        </div>
      </div>
    </SessionContext.Provider>
  );
}

/** A page whose code is loaded when it is first shown: charts and the editor are not part of the first page. */
function Later<P extends object>({ load, props }: { load: () => Promise<ComponentType<P>>; props: P }): ComponentChildren {
  const [page, setPage] = useState<{ show: ComponentType<P> } | null>(null);
  const [failed, setFailed] = useState(false);
  useEffect(() => {
    load().then(
      (show) => setPage({ show }),
      () => setFailed(true),
    );
  }, []);
  if (failed) return <Banner kind="bad">{text.connection.reload}</Banner>;
  if (!page) return <p class="empty" aria-busy="true" />;
  const Show = page.show;
  return <Show {...props} />;
}

const device = () => import("./pages/Device").then((m) => m.DevicePage);
const trends = () => import("./pages/Trends").then((m) => m.TrendsPage);
const jobs = () => import("./pages/Jobs").then((m) => m.JobsPage);
const job = () => import("./pages/Job").then((m) => m.JobPage);
const letters = () => import("./pages/DeadLetters").then((m) => m.DeadLettersPage);
const settings = () => import("./pages/Settings").then((m) => m.SettingsPage);

function Page({ path, status }: { path: string; status: Status | null }) {
  const tail = (prefix: string) => safeDecode(path.slice(prefix.length));
  if (path === "/") return <OverviewPage status={status} />;
  if (path === "/devices") return <DevicesPage />;
  if (path.startsWith("/devices/")) return <Later key={path} load={device} props={{ id: tail("/devices/") }} />;
  if (path === "/trends") return <Later key="trends" load={trends} props={{}} />;
  if (path === "/alerts") return <AlertsPage />;
  if (path === "/jobs") return <Later key="jobs" load={jobs} props={{}} />;
  if (path.startsWith("/jobs/")) return <Later key={path} load={job} props={{ name: tail("/jobs/") }} />;
  if (path === "/dead-letters") return <Later key="letters" load={letters} props={{}} />;
  if (path === "/settings") return <Later key="settings" load={settings} props={{ status }} />;
  return (
    <section class="card empty">
      <h1>{text.common.notFound}</h1>
      <p>
        <a href="/">{text.common.toOverview}</a>
      </p>
    </section>
  );
}

function safeDecode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
