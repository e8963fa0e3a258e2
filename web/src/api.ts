import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { text } from "./text";

/** What the server says when something does not work: an RFC 9457 problem. */
export class Problem extends Error {
  constructor(
    readonly status: number,
    title: string,
    readonly detail: string,
    readonly body: Record<string, unknown> = {},
    /** Seconds after which it may be tried again, when the server says so. */
    readonly retryAfter = 0,
  ) {
    super(title);
  }
}

/** A sentence for whoever is looking at the page. */
export function explain(error: unknown): string {
  if (error instanceof Problem) return [error.message, error.detail].filter(Boolean).join(": ");
  return error instanceof TypeError ? text.connection.unreachable : text.common.error;
}

let onSignedOut: () => void = () => {};
/** Called when a request finds that the session is gone. */
export function setSignedOut(handler: () => void): void {
  onSignedOut = handler;
}
export const signedOut = (): void => onSignedOut();

export async function call<T>(path: string, method = "GET", body?: unknown, contentType = "application/json"): Promise<T> {
  const response = await fetch(path, {
    method,
    headers: body === undefined ? {} : { "Content-Type": contentType },
    body: body === undefined ? undefined : typeof body === "string" ? body : JSON.stringify(body),
  });
  // A wrong token at sign-in is no session that ended.
  if (response.status === 401 && !(path === "/api/v1/session" && method === "POST")) onSignedOut();
  if (!response.ok) {
    const problem = (await response.json().catch(() => ({}))) as { title?: string; detail?: string };
    throw new Problem(response.status, problem.title ?? response.statusText, problem.detail ?? "", problem, Number(response.headers.get("Retry-After") ?? 0));
  }
  return (response.status === 204 ? undefined : await response.json()) as T;
}

export type Loaded<T> = { data: T | null; problem: string; loading: boolean; reload: () => void };

/** What is at a path, again whenever the path changes and every so often; null is asked for nothing. */
export function useLoad<T>(path: string | null, everyMs = 0): Loaded<T> {
  const [state, setState] = useState<{ data: T | null; problem: string; loading: boolean }>({ data: null, problem: "", loading: true });
  const asked = useRef(0);
  const reload = useCallback(() => {
    const number = ++asked.current;
    if (path === null) return setState({ data: null, problem: "", loading: false });
    call<T>(path).then(
      (data) => number === asked.current && setState({ data, problem: "", loading: false }),
      (error) => number === asked.current && setState((before) => ({ ...before, problem: explain(error), loading: false })),
    );
  }, [path]);
  useEffect(() => {
    setState((before) => ({ ...before, loading: true }));
    reload();
    const timer = everyMs > 0 ? setInterval(() => document.hidden || reload(), everyMs) : undefined;
    return () => {
      asked.current++;
      clearInterval(timer);
    };
  }, [reload, everyMs]);
  return { ...state, reload };
}

export type Severity = "info" | "warning" | "critical";
export const severities: Severity[] = ["critical", "warning", "info"];

export type Books = {
  name: string;
  received: number;
  stored: number;
  inFlight: number;
  rejected: Record<string, number>;
  dropped: Record<string, number>;
  perSecond?: number;
};

export type JobSummary = { name: string; state: string; rowsIn: number; rowsOut: number; bad: number; lagReadings: number; lastError: string | null };

export type Overview = {
  time: string;
  startedAt: string;
  devices: number;
  log: string;
  listeners: Books[];
  views: { name: string; state: string; lagReadings: number }[];
  alerts?: { severity: Severity; state: "raised" | "acknowledged"; count: number }[];
  jobs?: JobSummary[];
};

export type Status = {
  version: string;
  startedAt: string;
  mode: "open" | "token";
  uptimeSeconds: number;
  devices: number;
  heardLastHour?: number;
  endpoints: Record<string, string>;
  log: {
    state: string;
    detail?: string | null;
    oldestAt?: string | null;
    bytes?: number;
    retention?: { ageSeconds: number; bytes: number | null };
    partitions: { partition: number; oldest: number; next: number }[];
  };
  disk: { folder: string; totalBytes?: number; freeBytes?: number | null };
  process: { memoryBytes: number };
};

export type Session = { mode: "open" | "token"; name: string | null; role: "read" | "operate" | "admin" | null };

export type Activity = {
  stepSeconds: number;
  times: string[];
  stored: number[];
  lagReadings: number[];
  jobs: Record<string, Record<"rowsIn" | "rowsOut" | "lagReadings", (number | null)[]>>;
};

export type DeviceRow = {
  id: string;
  name?: string | null;
  type?: string | null;
  tags: string[];
  attributes?: Record<string, unknown> | null;
  createdAt: string;
  lastSeen: string | null;
  time: string | null;
  hasToken: boolean;
  listener?: string | null;
  alerts?: Severity[];
  data?: Record<string, unknown>;
};

export type Reading = {
  id?: string;
  time: string;
  receivedAt: string;
  sequence: number;
  partition: number;
  data: Record<string, unknown>;
};

export type Alert = {
  id: number;
  state: "raised" | "acknowledged" | "cleared";
  rule: string;
  key: unknown[];
  device: string | null;
  severity: Severity;
  message: string;
  job: string;
  raisedAt: string;
  lastAt: string;
  acknowledgedAt: string | null;
  acknowledgedBy: string | null;
  note: string | null;
  clearedAt: string | null;
  rows: number;
  suppressed: number;
  notified: number;
  gap: boolean;
  fields: Record<string, unknown>;
};

export type SeenField = { name: string; kind: string; devices: number; example: string };

export const total = (counts: Record<string, number>): number => Object.values(counts).reduce((a, b) => a + b, 0);

export const devicePath = (id: string): string => `/api/v1/devices/${encodeURIComponent(id)}`;
export const devicePage = (id: string): string => `/devices/${encodeURIComponent(id)}`;
