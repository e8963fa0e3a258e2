/** What the server says when something does not work: an RFC 9457 problem. */
export class Problem extends Error {
  constructor(
    readonly status: number,
    title: string,
    readonly detail: string,
  ) {
    super(title);
  }
}

/** Called when a request finds that the session is gone. */
export let onSignedOut: () => void = () => {};
export function setSignedOut(handler: () => void): void {
  onSignedOut = handler;
}

export async function call<T>(path: string, method = "GET", body?: unknown): Promise<T> {
  const response = await fetch(path, {
    method,
    headers: body === undefined ? {} : { "Content-Type": "application/json" },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  if (response.status === 401) onSignedOut();
  if (!response.ok) {
    const problem = (await response.json().catch(() => ({}))) as { title?: string; detail?: string };
    throw new Problem(response.status, problem.title ?? response.statusText, problem.detail ?? "");
  }
  return (response.status === 204 ? undefined : await response.json()) as T;
}

export type Books = {
  name: string;
  received: number;
  stored: number;
  inFlight: number;
  rejected: Record<string, number>;
  dropped: Record<string, number>;
  perSecond?: number;
};

export type Overview = {
  time: string;
  devices: number;
  log: string;
  listeners: Books[];
  views: { name: string; state: string; lagReadings: number }[];
};

export type Status = {
  version: string;
  mode: "open" | "token";
  uptimeSeconds: number;
  devices: number;
  endpoints: Record<string, string>;
  log: { state: string; detail?: string };
  disk: { folder: string; totalBytes?: number; freeBytes?: number | null };
};

export type DeviceRow = {
  id: string;
  name?: string;
  type?: string;
  tags: string[];
  lastSeen: string | null;
  time: string | null;
  hasToken: boolean;
};

export type Reading = {
  id?: string;
  time: string;
  receivedAt: string;
  sequence: number;
  partition: number;
  data: Record<string, unknown>;
};

export const total = (counts: Record<string, number>): number => Object.values(counts).reduce((a, b) => a + b, 0);
