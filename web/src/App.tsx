import { useEffect, useState } from "preact/hooks";
import { type Overview, type Status, call, setSignedOut } from "./api";
import { watchOverview } from "./live";
import { DeadLettersPage } from "./pages/DeadLetters";
import { DevicePage } from "./pages/Device";
import { DevicesPage } from "./pages/Devices";
import { OverviewPage } from "./pages/Overview";
import { SettingsPage } from "./pages/Settings";
import { SignIn } from "./pages/SignIn";
import { usePath } from "./router";
import { text } from "./text";

const stored = localStorage.getItem("theme");
const initialTheme = stored ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
document.documentElement.dataset.theme = initialTheme;

export function App() {
  const path = usePath();
  const [theme, setTheme] = useState(initialTheme);
  const [signedOut, setOut] = useState(false);
  const [lost, setLost] = useState(false);
  const [status, setStatus] = useState<Status | null>(null);

  useEffect(() => {
    document.documentElement.dataset.theme = theme;
    localStorage.setItem("theme", theme);
  }, [theme]);

  useEffect(() => {
    setSignedOut(() => setOut(true));
    call<Status>("/api/v1/status").then(setStatus, () => {});
  }, []);

  useEffect(() => (signedOut ? undefined : watchOverview((overview: Overview | null) => setLost(overview === null))), [signedOut]);

  if (signedOut) return <SignIn />;

  const links: [string, string][] = [
    ["/", text.nav.overview],
    ["/devices", text.nav.devices],
    ["/dead-letters", text.nav.deadLetters],
    ["/settings", text.nav.settings],
  ];
  const current = (href: string) => (href === "/" ? path === "/" : path.startsWith(href));
  return (
    <div class="shell">
      <aside class="rail">
        <a class="logo" href="/" aria-label={text.app}>
          <img src="/icon.svg" alt="" />
          <span>{text.app}</span>
        </a>
        <nav aria-label={text.app}>
          {links.map(([href, label]) => (
            <a href={href} aria-current={current(href) ? "page" : undefined}>
              {label}
            </a>
          ))}
        </nav>
        <div class="foot">
          <button type="button" onClick={() => setTheme(theme === "dark" ? "light" : "dark")}>
            {theme === "dark" ? text.theme.toLight : text.theme.toDark}
          </button>
          <span class="muted-foot">{status ? `${text.app} ${status.version}` : ""}</span>
        </div>
      </aside>
      <div>
        <div role="status" aria-live="polite">
          {lost && <div class="banner">{text.connection.lost}</div>}
        </div>
        <main class="page">
          <Page path={path} status={status} />
        </main>
      </div>
    </div>
  );
}

function Page({ path, status }: { path: string; status: Status | null }) {
  if (path === "/") return <OverviewPage status={status} />;
  if (path === "/devices") return <DevicesPage />;
  if (path.startsWith("/devices/")) return <DevicePage key={path} id={decodeURIComponent(path.slice("/devices/".length))} />;
  if (path === "/dead-letters") return <DeadLettersPage />;
  if (path === "/settings") return <SettingsPage status={status} />;
  return <p class="empty">{text.common.notFound}</p>;
}
