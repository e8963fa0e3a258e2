import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { type DeviceRow, call, explain } from "./api";

const pageSize = 100;
/** A search among a million gives what it found in a quarter of a second; so many such answers are asked for by themselves. */
const emptyAnswersMax = 40;
const refreshMs = 5000;

type Page = { devices: DeviceRow[]; total: number | null; next: string | null };

export type DeviceRows = {
  /** Rows that can be scrolled to. */
  count: number;
  /** How many there are in all, when that is known. */
  total: number | null;
  searching: boolean;
  problem: string;
  row: (index: number) => DeviceRow | undefined;
  view: (first: number, end: number) => void;
  reload: () => void;
};

/**
 * The devices that pass some filters, page by page from the server. Without filters the server skips to any place, so the whole list
 * can be scrolled at once; with filters pages follow one another as the end comes into view.
 */
export function useDeviceRows(filters: Record<string, string>): DeviceRows {
  const key = JSON.stringify(filters);
  const list = useRef<List | null>(null);
  const [, draw] = useState(0);
  if (list.current?.key !== key) list.current = new List(key, filters, () => draw((n) => n + 1));
  const current = list.current;
  useEffect(() => {
    const wait = setTimeout(() => void current.begin(), 150);
    const timer = setInterval(() => document.hidden || void current.refresh(), refreshMs);
    return () => {
      clearTimeout(wait);
      clearInterval(timer);
      current.leave();
    };
  }, [current]);
  const view = useCallback((first: number, end: number) => current.view(first, end), [current]);
  return {
    count: current.count,
    total: current.total,
    searching: current.searching,
    problem: current.problem,
    row: (index) => current.pages.get(Math.floor(index / pageSize))?.[index % pageSize],
    view,
    reload: () => void current.begin(),
  };
}

class List {
  readonly pages = new Map<number, DeviceRow[]>();
  count = 0;
  total: number | null = null;
  searching = true;
  problem = "";
  private rows: DeviceRow[] = [];
  private next: string | null = null;
  private loading = new Set<number>();
  private shown: [number, number] = [0, 0];
  private left = false;
  /** Whether the server lets any place be asked for. */
  private skips = false;

  constructor(
    readonly key: string,
    private readonly filters: Record<string, string>,
    private readonly changed: () => void,
  ) {}

  leave(): void {
    this.left = true;
  }

  async begin(): Promise<void> {
    this.left = false;
    const page = await this.ask({});
    if (!page) return;
    this.pages.clear();
    this.total = page.total;
    this.rows = page.devices;
    this.next = page.next;
    this.skips = page.total !== null && this.isById;
    if (this.skips) {
      this.pages.set(0, page.devices);
      this.count = Math.max(page.total ?? 0, page.devices.length);
    } else {
      this.spread();
    }
    this.done();
    if (!this.skips && this.rows.length < pageSize) await this.more();
  }

  view(first: number, end: number): void {
    this.shown = [first, end];
    if (this.skips) void this.fill();
    else if (end + pageSize / 2 >= this.rows.length) void this.more();
  }

  /** The pages in view once more: when devices were heard changes all the time. */
  async refresh(): Promise<void> {
    if (!this.skips || this.count === 0) {
      if (this.shown[0] < pageSize && this.rows.length <= pageSize) await this.begin();
      return;
    }
    const [from, to] = this.pagesInView();
    for (let p = from; p <= to; p++) if (this.pages.has(p)) await this.load(p);
  }

  private get isById(): boolean {
    return !this.filters["sort"]?.endsWith("lastSeen");
  }

  private pagesInView(): [number, number] {
    return [Math.floor(this.shown[0] / pageSize), Math.floor(Math.max(0, this.shown[1] - 1) / pageSize)];
  }

  private async fill(): Promise<void> {
    const [from, to] = this.pagesInView();
    for (let p = from; p <= to; p++) {
      const [first, last] = this.pagesInView();
      // Whoever scrolls on does not wait for what has gone by.
      if (!this.pages.has(p) && p >= first && p <= last) await this.load(p);
    }
  }

  /** Loads a page by going on from the nearest one before it. */
  private async load(page: number): Promise<void> {
    if (this.loading.has(page)) return;
    this.loading.add(page);
    let before = page - 1;
    while (before >= 0 && !this.pages.get(before)?.length) before--;
    const after = before >= 0 ? this.pages.get(before)!.at(-1)!.id : "";
    const answer = await this.ask({ after, skip: String((page - before - 1) * pageSize) });
    this.loading.delete(page);
    if (!answer) return;
    this.pages.set(page, answer.devices);
    if (answer.total !== null) this.total = this.count = answer.total;
    this.done();
  }

  private async more(): Promise<void> {
    if (!this.next || this.loading.has(-1)) return;
    this.loading.add(-1);
    for (let empty = 0; this.next && !this.left && empty < emptyAnswersMax && this.shown[1] + pageSize / 2 >= this.rows.length; ) {
      this.searching = true;
      const answer = await this.ask({ after: this.next });
      if (!answer) break;
      this.next = answer.next;
      this.rows = [...this.rows, ...answer.devices];
      empty = answer.devices.length > 0 ? 0 : empty + 1;
      this.spread();
      this.done();
    }
    this.loading.delete(-1);
    this.searching = false;
    this.changed();
  }

  private spread(): void {
    this.pages.clear();
    for (let i = 0; i < this.rows.length; i += pageSize) this.pages.set(i / pageSize, this.rows.slice(i, i + pageSize));
    this.count = this.rows.length;
    if (!this.next) this.total = this.rows.length;
  }

  private done(): void {
    this.searching = false;
    this.changed();
  }

  private async ask(place: Record<string, string>): Promise<Page | null> {
    const query = new URLSearchParams({ limit: String(pageSize), latest: "true" });
    for (const [name, value] of Object.entries({ ...this.filters, ...place })) if (value && value !== "0") query.set(name, value);
    try {
      const page = await call<Page>(`/api/v1/devices?${query}`);
      this.problem = "";
      return this.left ? null : page;
    } catch (error) {
      this.problem = explain(error);
      this.done();
      return null;
    }
  }
}
