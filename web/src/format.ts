import { text } from "./text";

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const precise = new Intl.NumberFormat("en", { maximumFractionDigits: 6 });

/** 12,345 as it is, 1.2M and more in short. */
export function count(n: number): string {
  return Math.abs(n) < 1_000_000 ? whole.format(n) : short.format(n);
}

/** A whole number in full, for where every digit counts. */
export const exact = (n: number): string => whole.format(n);

/** A measured value: six decimals at most. */
export const value = (n: number): string => (Math.abs(n) >= 1e12 || (n !== 0 && Math.abs(n) < 1e-6) ? n.toExponential(3) : precise.format(n));

export const percent = (share: number): string => `${(share * 100).toFixed(share > 0.9 && share < 1 ? 1 : 0)} %`;

export function bytes(n: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let i = 0;
  for (; n >= 1000 && i < units.length - 1; i++) n /= 1000;
  return `${n < 10 && i > 0 ? n.toFixed(1) : Math.round(n)} ${units[i]}`;
}

const day = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const today = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });

/** In the viewer's zone; the UTC form belongs into the title. */
export const localTime = (iso: string): string => day.format(new Date(iso));

/** The time alone when it is of today. */
export function briefTime(iso: string): string {
  const date = new Date(iso);
  return date.toDateString() === new Date().toDateString() ? today.format(date) : day.format(date);
}

export const utc = (iso: string): string => `${iso.replace("T", " ").replace(/(\.\d{3})?\d*Z$/, "$1")} UTC`;

export function span(seconds: number): string {
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 129_600) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86_400)} d`;
}

export const age = (iso: string, now = Date.now()): string => span(Math.max(0, (now - Date.parse(iso)) / 1000));

/** A value as one would read it: numbers plain, objects as compact JSON. */
export function shown(value: unknown): string {
  return typeof value === "string" ? value : typeof value === "number" ? String(value) : JSON.stringify(value);
}

/** The leaves of a document as path and value; lists as they are, or their first element's leaves when they hold objects. */
export function leaves(data: unknown, prefix = "", max = 200): [string, unknown][] {
  if (data === null || typeof data !== "object") return [];
  return Object.entries(data)
    .flatMap(([name, value]): [string, unknown][] => {
      const inner = Array.isArray(value) && value.length > 0 && typeof value[0] === "object" ? value[0] : value;
      return inner !== null && typeof inner === "object" && !Array.isArray(inner) ? leaves(inner, `${prefix}${name}.`, max) : [[prefix + name, value]];
    })
    .slice(0, max);
}

const declared = new Map<string, string>();

/** Units that a type of device declares go before what names tell. */
export function declareUnits(fields: Record<string, { unit?: string }>): void {
  for (const [name, { unit }] of Object.entries(fields)) if (unit) declared.set(name, unit);
}

/** The unit of a field: declared, or as far as its name tells. */
export function unitOf(field: string): string {
  const known = declared.get(field);
  if (known !== undefined) return known;
  const name = field.split(".").at(-1)!.toLowerCase();
  return text.units.find(([pattern]) => pattern.test(name))?.[1] ?? "";
}
