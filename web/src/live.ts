import type { Overview } from "./api";

/**
 * The overview as the server tells it. All tabs of a browser share one stream: the tab that holds the lock reads it and
 * passes it on; when that tab goes, the lock goes to another.
 */
type Listener = (overview: Overview | null) => void;

const listeners = new Set<Listener>();
const channel = new BroadcastChannel("millrace-overview");
let last: Overview | null = null;
let lastAt = 0;

function tell(overview: Overview | null): void {
  last = overview;
  lastAt = Date.now();
  for (const listener of listeners) listener(overview);
}

channel.onmessage = (message) => tell(message.data as Overview | null);

function read(): Promise<void> {
  return new Promise(() => {
    const source = new EventSource("/api/v1/events");
    source.addEventListener("overview", (event) => {
      const overview = JSON.parse((event as MessageEvent<string>).data) as Overview;
      channel.postMessage(overview);
      tell(overview);
    });
    source.onerror = () => {
      channel.postMessage(null);
      tell(null);
      if (source.readyState === EventSource.CLOSED) setTimeout(() => location.reload(), 5000);
    };
  });
}

let started = false;
export function watchOverview(listener: Listener): () => void {
  listeners.add(listener);
  if (last && Date.now() - lastAt < 5000) listener(last);
  if (!started) {
    started = true;
    if (navigator.locks) void navigator.locks.request("millrace-overview", read);
    else void read();
  }
  return () => listeners.delete(listener);
}
