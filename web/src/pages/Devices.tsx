import { useEffect, useRef, useState } from "preact/hooks";
import { type DeviceRow, Problem, call } from "../api";
import { age, localTime } from "../format";
import { navigate } from "../router";
import { text } from "../text";

const t = text.devices;
const pageSize = 100;

export function DevicesPage() {
  const [search, setSearch] = useState("");
  const [silent, setSilent] = useState("");
  const [sort, setSort] = useState("");
  const [rows, setRows] = useState<DeviceRow[]>([]);
  const [next, setNext] = useState<string | null>(null);
  const [problem, setProblem] = useState<string | null>(null);
  const [adding, setAdding] = useState(false);
  const asked = useRef(0);

  const load = async (after: string | null) => {
    const number = ++asked.current;
    const query = new URLSearchParams({ limit: String(pageSize) });
    if (search) query.set("search", search);
    if (silent) query.set("silent", silent);
    if (sort) query.set("sort", sort);
    if (after) query.set("after", after);
    try {
      const page = await call<{ devices: DeviceRow[]; next: string | null }>(`/api/v1/devices?${query}`);
      if (number !== asked.current) return;
      setRows((before) => (after ? [...before, ...page.devices] : page.devices));
      setNext(page.next);
      setProblem(null);
    } catch (e) {
      if (number === asked.current && e instanceof Problem) setProblem(`${e.message}: ${e.detail}`);
    }
  };

  useEffect(() => {
    const timer = setTimeout(() => void load(null), 150);
    return () => clearTimeout(timer);
  }, [search, silent, sort]);

  return (
    <>
      <header>
        <h1>{t.title}</h1>
        <div class="row">
          <button type="button" class="button primary" onClick={() => setAdding(true)}>
            {t.add}
          </button>
        </div>
      </header>
      <section class="card">
        <div class="row">
          <input type="search" aria-label={t.search} placeholder={t.search} value={search} onInput={(e) => setSearch(e.currentTarget.value)} />
          <label>
            {t.silent}{" "}
            <select value={silent} onChange={(e) => setSilent(e.currentTarget.value)}>
              <option value="">{t.all}</option>
              <option value="10m">10 min</option>
              <option value="1h">1 h</option>
              <option value="1d">1 d</option>
            </select>
          </label>
          <label>
            {t.sort}{" "}
            <select value={sort} onChange={(e) => setSort(e.currentTarget.value)}>
              <option value="">{t.byId}</option>
              <option value="-lastSeen">{t.bySeen}</option>
            </select>
          </label>
        </div>
        {problem && <p class="banner bad">{problem}</p>}
        <div class="scroll-x" role="region" aria-label={t.title} tabIndex={0}>
          <table>
            <thead>
              <tr>
                <th scope="col">{t.id}</th>
                <th scope="col">{t.name}</th>
                <th scope="col">{t.type}</th>
                <th scope="col">{t.tags}</th>
                <th scope="col">{t.lastSeen}</th>
              </tr>
            </thead>
            <tbody>
              {rows.map((row) => (
                <tr key={row.id}>
                  <td>
                    <a class="mono" href={`/devices/${encodeURIComponent(row.id)}`}>
                      {row.id}
                    </a>
                  </td>
                  <td>{row.name}</td>
                  <td>{row.type}</td>
                  <td>
                    {row.tags.map((tag) => (
                      <span class="tag">{tag}</span>
                    ))}
                  </td>
                  <td class="num" title={row.lastSeen ?? ""}>
                    {row.lastSeen ? text.common.ago(age(row.lastSeen)) : text.common.never}
                    {row.lastSeen && <span class="visually-hidden">{localTime(row.lastSeen)}</span>}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
        {rows.length === 0 && <p class="empty">{t.none}</p>}
        {next && (
          <p>
            <button type="button" class="button" onClick={() => void load(next)}>
              {t.more}
            </button>
          </p>
        )}
      </section>
      {adding && <AddDevice close={() => setAdding(false)} />}
    </>
  );
}

function AddDevice({ close }: { close: () => void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [problem, setProblem] = useState("");
  useEffect(() => dialog.current?.showModal(), []);
  const save = async (event: SubmitEvent) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget as HTMLFormElement);
    const id = String(form.get("id"));
    const tags = String(form.get("tags"))
      .split(",")
      .map((tag) => tag.trim())
      .filter(Boolean);
    try {
      await call("/api/v1/devices", "POST", { id, name: form.get("name") || undefined, type: form.get("type") || undefined, tags });
      close();
      navigate(`/devices/${encodeURIComponent(id)}`);
    } catch (e) {
      setProblem(e instanceof Problem ? `${e.message} ${e.detail}` : text.common.error);
    }
  };
  return (
    <dialog ref={dialog} onClose={close} aria-label={t.add}>
      <form class="form" onSubmit={save}>
        <h2>{t.add}</h2>
        <label>
          {t.id}
          <input name="id" required maxLength={128} autoFocus />
        </label>
        <label>
          {t.name}
          <input name="name" />
        </label>
        <label>
          {t.type}
          <input name="type" />
        </label>
        <label>
          {t.tags}
          <input name="tags" />
        </label>
        {problem && (
          <p class="banner bad" role="alert">
            {problem}
          </p>
        )}
        <div class="row">
          <button class="button primary">{text.common.save}</button>
          <button type="button" class="button" onClick={close}>
            {text.common.cancel}
          </button>
        </div>
      </form>
    </dialog>
  );
}
