import { useEffect, useState } from "preact/hooks";
import { type Overview, type Session, signedOut } from "./api";

/**
 * The overview as the server tells it. All tabs of a browser share one stream: the tab that holds the lock reads it and
 * passes it on; when that tab goes, the lock goes to another.
 */
export type Connection = "opening" | "live" | "lost";
type Message = { overview: Overview } | { lost: true } | { signedOut: true };
type Listener = (connection: Connection, overview: Overview | null) => void;

const listeners = new Set<Listener>();
const channel = new BroadcastChannel("millrace-overview");
const retryMs = 2000;
const silentMs = 5000;

let connection: Connection = "opening";
let last: Overview | null = null;
let lastAt = 0;

function take(message: Message): void {
  if ("signedOut" in message) return signedOut();
  lastAt = Date.now();
  if ("overview" in message) {
    connection = "live";
    last = message.overview;
  } else {
    connection = "lost";
  }
  for (const listener of listeners) listener(connection, last);
}

function share(message: Message): void {
  channel.postMessage(message);
  take(message);
}

channel.onmessage = (message) => take(message.data as Message);

/** Holds the stream as long as this tab lives, opening it again whenever it ends. */
function hold(): Promise<void> {
  return new Promise(() => open());
}

function open(): void {
  const source = new EventSource("/api/v1/events");
  source.addEventListener("overview", (event) => share({ overview: JSON.parse((event as MessageEvent<string>).data) as Overview }));
  source.onerror = () => {
    share({ lost: true });
    // A browser gives up for good when the answer is an error, as it is when the session has ended.
    if (source.readyState !== EventSource.CLOSED) return;
    setTimeout(() => void again(), retryMs);
  };
}

async function again(): Promise<void> {
  try {
    const session = (await (await fetch("/api/v1/session")).json()) as Session;
    if (session.mode === "token" && !session.role) share({ signedOut: true });
  } catch {
    // The server is still away; opening the stream will tell.
  }
  open();
}

let started = false;
export function watchOverview(listener: Listener): () => void {
  listeners.add(listener);
  listener(connection, last && Date.now() - lastAt < silentMs ? last : null);
  if (!started) {
    started = true;
    if (navigator.locks) void navigator.locks.request("millrace-overview", hold);
    else void hold();
  }
  return () => listeners.delete(listener);
}

export function useOverview(): Overview | null {
  const [overview, setOverview] = useState<Overview | null>(null);
  useEffect(() => watchOverview((_, next) => next && setOverview(next)), []);
  return overview;
}
