import { useState } from "preact/hooks";
import { type DeviceRow, call, devicePage, devicePath, severities } from "../api";
import { useDeviceRows } from "../deviceRows";
import { exact, leaves, unitOf, value as shownValue } from "../format";
import { useOverview } from "../live";
import { Choice } from "../parts/Choice";
import { Dialog } from "../parts/Dialog";
import { Icon } from "../parts/Icon";
import { Pill, Trouble } from "../parts/Messages";
import { Snippet } from "../parts/Snippet";
import { Ago } from "../parts/Time";
import { VirtualTable } from "../parts/VirtualTable";
import { useQueryParameter } from "../router";
import { useMay } from "../session";
import { text } from "../text";

const t = text.devices;
const rowHeight = 46;
const silences = ["5m", "15m", "1h", "6h", "1d", "7d"];
const valuesMax = 2;

export function DevicesPage() {
  const [search, setSearch] = useQueryParameter("search");
  const [silent, setSilent] = useQueryParameter("silent");
  const [alert, setAlert] = useQueryParameter("alert");
  const [tag, setTag] = useQueryParameter("tag");
  const [type, setType] = useQueryParameter("type");
  const [listener, setListener] = useQueryParameter("listener");
  const [sort, setSort] = useQueryParameter("sort");
  const [dialog, setDialog] = useState<"add" | "import" | null>(null);
  const overview = useOverview();
  const mayOperate = useMay("operate");
  // The register is kept by id; by last seen it can be gone through only as a whole.
  const bySeenOnly = Boolean(search || tag || type || listener || alert || silent === "expected");
  const devices = useDeviceRows({ search, silent, alert, tag, type, listener, sort: bySeenOnly && sort.endsWith("lastSeen") ? "" : sort });
  const loaded = Array.from({ length: Math.min(devices.count, 300) }, (_, i) => devices.row(i)).filter((row) => row !== undefined);
  const tags = [...new Set(loaded.flatMap((row) => row.tags))].sort();
  const types = [...new Set(loaded.map((row) => row.type).filter((x): x is string => Boolean(x)))].sort();
  const filtered = bySeenOnly || Boolean(silent);
  const clear = () => [setSearch, setSilent, setAlert, setTag, setType, setListener].forEach((set) => set(""));
  return (
    <>
      <header>
        <div>
          <h1>{t.title}</h1>
          <p class="muted num" role="status">
            {countText(devices.count, devices.total, devices.searching, filtered)}
          </p>
        </div>
        {mayOperate && (
          <div class="row">
            <button type="button" class="button" onClick={() => setDialog("import")}>
              <Icon name="upload" /> {t.importCsv}
            </button>
            <button type="button" class="button primary" onClick={() => setDialog("add")}>
              <Icon name="plus" /> {t.add}
            </button>
          </div>
        )}
      </header>
      <Trouble problem={devices.problem} />
      <section class="card flush">
        <div class="filters">
          <label class="search">
            <Icon name="search" />
            <span class="visually-hidden">{t.search}</span>
            <input type="search" placeholder={t.search} value={search} onInput={(e) => setSearch(e.currentTarget.value)} />
          </label>
          <Choice label={t.silent} value={silent} change={setSilent} any={text.common.any} options={[["expected", t.silentExpected], ...silences.map((s) => [s, t.silentFor(s)] as const)]} />
          <Choice label={t.alert} value={alert} change={setAlert} any={text.common.any} options={[["any", t.withAlert], ...severities.map((s) => [s, text.states[s] ?? s] as const)]} />
          <Choice label={t.listener} value={listener} change={setListener} any={text.common.any} options={(overview?.listeners ?? []).map((l) => [l.name, l.name] as const)} />
          <label class="inline">
            {t.tag}
            <input type="search" list="tags" size={8} value={tag} onInput={(e) => setTag(e.currentTarget.value.trim())} />
            <datalist id="tags">
              {tags.map((x) => (
                <option value={x} key={x} />
              ))}
            </datalist>
          </label>
          <label class="inline">
            {t.type}
            <input type="search" list="types" size={8} value={type} onInput={(e) => setType(e.currentTarget.value.trim())} />
            <datalist id="types">
              {types.map((x) => (
                <option value={x} key={x} />
              ))}
            </datalist>
          </label>
          <label class="inline">
            {t.sort}
            <select value={sort} onChange={(e) => setSort(e.currentTarget.value)}>
              <option value="">{t.byId}</option>
              <option value="-id">{t.byIdDown}</option>
              <option value="lastSeen" disabled={bySeenOnly}>
                {t.bySilence}
              </option>
              <option value="-lastSeen" disabled={bySeenOnly}>
                {t.byHeard}
              </option>
            </select>
          </label>
          {filtered && (
            <button type="button" class="button small" onClick={clear}>
              {t.clear}
            </button>
          )}
        </div>
        <VirtualTable
          label={t.title}
          rows={devices.count}
          rowHeight={rowHeight}
          view={devices.view}
          head={
            <>
              <th scope="col" class="col-id">
                {t.id}
              </th>
              <th scope="col" class="col-value">
                {t.value}
              </th>
              <th scope="col" class="col-type opt">
                {t.type}
              </th>
              <th scope="col" class="col-tags opt">
                {t.tags}
              </th>
              <th scope="col" class="col-listener opt">
                {t.listener}
              </th>
              <th scope="col" class="col-seen">
                {t.lastSeen}
              </th>
            </>
          }
          row={(index) => <Cells row={devices.row(index)} />}
        />
        {devices.count === 0 && !devices.searching && <p class="empty">{filtered ? t.noneMatches : t.none}</p>}
      </section>
      {dialog === "add" && <AddDevice close={() => setDialog(null)} added={devices.reload} />}
      {dialog === "import" && <ImportDevices close={() => setDialog(null)} imported={devices.reload} />}
    </>
  );
}

function countText(count: number, total: number | null, searching: boolean, filtered: boolean): string {
  if (searching && count === 0) return t.searching;
  if (total === null) return t.atLeast(exact(count));
  return filtered ? t.matching(exact(total)) : t.known(exact(total));
}

function Cells({ row }: { row: DeviceRow | undefined }) {
  if (!row)
    return (
      <td colSpan={6} class="loading" aria-busy="true">
        …
      </td>
    );
  return (
    <>
      <td class="col-id">
        <a class="mono strong" href={devicePage(row.id)}>
          {row.id}
        </a>
        {row.alerts && row.alerts.length > 0 && <Pill state={severities.find((s) => row.alerts!.includes(s)) ?? "info"} label={String(row.alerts.length)} />}
        {row.name && <div class="muted small cut">{row.name}</div>}
      </td>
      <td class="col-value cut">
        {numbers(row).map(([name, n]) => (
          <span class="reading num" key={name}>
            <span class="muted small">{name.split(".").at(-1)}</span> {shownValue(n)} <span class="muted small">{unitOf(name)}</span>
          </span>
        ))}
      </td>
      <td class="col-type opt cut">{row.type}</td>
      <td class="col-tags opt cut">
        {row.tags.map((tag) => (
          <span class="tag" key={tag}>
            {tag}
          </span>
        ))}
      </td>
      <td class="col-listener opt muted">{row.listener}</td>
      <td class="col-seen">
        <Ago at={row.lastSeen} />
      </td>
    </>
  );
}

/** The first few numbers of a reading; of a meter document those of its reading, not those of its radio. */
function numbers(row: DeviceRow): [string, number][] {
  const all = leaves(row.data ?? {}).filter((leaf): leaf is [string, number] => typeof leaf[1] === "number");
  const own = all.filter(([name]) => !name.startsWith("originData."));
  const wanted = own.filter(([name]) => /^(userData\.(left|used)|value|credit|register|flow|temperature)$/.test(name));
  return (wanted.length > 0 ? wanted : own).slice(0, valuesMax);
}

function AddDevice({ close, added }: { close: () => void; added: () => void }) {
  const [made, setMade] = useState<{ id: string; token?: string } | null>(null);
  const save = async (form: FormData) => {
    const id = String(form.get("id"));
    const tags = String(form.get("tags"))
      .split(",")
      .map((x) => x.trim())
      .filter(Boolean);
    await call("/api/v1/devices", "POST", { id, name: form.get("name") || undefined, type: form.get("type") || undefined, tags });
    const token = form.get("token") ? (await call<{ token: string }>(`${devicePath(id)}/token`, "POST", {})).token : undefined;
    added();
    setMade({ id, token });
  };
  if (made)
    return (
      <Dialog title={t.addedTitle(made.id)} close={close}>
        {made.token && (
          <>
            <p>{text.device.tokenOnce}</p>
            <Snippet line={made.token} label={text.device.tokenLabel} />
          </>
        )}
        <p>
          <a href={devicePage(made.id)}>{t.open(made.id)}</a>
        </p>
      </Dialog>
    );
  return (
    <Dialog title={t.add} action={t.add} close={close} submit={save}>
      <label>
        {t.id}
        <input name="id" required maxLength={128} autoFocus autocomplete="off" class="mono" />
      </label>
      <label>
        {t.name}
        <input name="name" maxLength={256} autocomplete="off" />
      </label>
      <label>
        {t.type}
        <input name="type" maxLength={64} autocomplete="off" />
      </label>
      <label>
        {t.tagsHint}
        <input name="tags" autocomplete="off" />
      </label>
      <label class="check">
        <input name="token" type="checkbox" />
        {t.withToken}
      </label>
    </Dialog>
  );
}

type Imported = { added: number; changed: number; rejected: { index: number; reason: string }[] };

function ImportDevices({ close, imported }: { close: () => void; imported: () => void }) {
  const [done, setDone] = useState<Imported | null>(null);
  const send = async (form: FormData) => {
    const file = form.get("file") as File;
    const json = /\.json$/i.test(file.name);
    setDone(await call<Imported>("/api/v1/devices/import", "POST", await file.text(), json ? "application/json" : "text/csv"));
    imported();
  };
  if (done)
    return (
      <Dialog title={t.importDone} close={close}>
        <p role="status">{t.imported(exact(done.added), exact(done.changed), exact(done.rejected.length))}</p>
        {done.rejected.length > 0 && (
          <ul class="plain scroll-y">
            {done.rejected.slice(0, 100).map((row) => (
              <li key={row.index}>
                <span class="mono">{t.line(row.index + 1)}</span> {row.reason}
              </li>
            ))}
          </ul>
        )}
      </Dialog>
    );
  return (
    <Dialog title={t.importCsv} action={t.importGo} close={close} submit={send}>
      <p class="muted">{t.importText}</p>
      <pre class="sample">{t.importSample}</pre>
      <label>
        {t.file}
        <input name="file" type="file" accept=".csv,.json,text/csv,application/json" required />
      </label>
    </Dialog>
  );
}
