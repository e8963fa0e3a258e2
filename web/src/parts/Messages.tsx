import type { ComponentChildren } from "preact";
import { text } from "../text";
import { Icon } from "./Icon";

/** A line across the page. What went wrong is announced at once, the rest when there is time. */
export function Banner({ kind, close, children }: { kind: "info" | "warn" | "bad" | "good"; close?: () => void; children: ComponentChildren }) {
  return (
    <div class={`banner ${kind}`} role={kind === "bad" ? "alert" : undefined}>
      <span>{children}</span>
      {close && (
        <button type="button" class="quiet" aria-label={text.common.close} onClick={close}>
          <Icon name="close" />
        </button>
      )}
    </div>
  );
}

/** What went wrong, if anything did. */
export function Trouble({ problem }: { problem: string }) {
  return problem ? <Banner kind="bad">{problem}</Banner> : null;
}

const tones: Record<string, string> = {
  running: "good",
  accepting: "good",
  delivering: "good",
  cleared: "good",
  balanced: "good",
  warming: "info",
  starting: "info",
  acknowledged: "info",
  info: "info",
  stopped: "neutral",
  waiting: "warn",
  retrying: "warn",
  restarting: "warn",
  warning: "warn",
  full: "bad",
  failed: "bad",
  refused: "bad",
  critical: "bad",
  raised: "neutral",
};

/** A state in a word and a colour; the word alone says it too. */
export function Pill({ state, label }: { state: string; label?: string }) {
  return <span class={`pill ${tones[state] ?? "neutral"}`}>{label ?? text.states[state] ?? state}</span>;
}
