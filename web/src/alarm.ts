import { text } from "./text";

/**
 * New alerts reach who does not look: a number in the title, and a tone when it was asked for. Only unacknowledged alerts
 * count; the tone sounds when their number grows.
 */
const soundKey = "alert-sound";
const badgeKey = "alert-badge";
const soundedKey = "alert-sounded-at";
let base: string = text.app;
let before = -1;
let audio: AudioContext | null = null;

export const soundOn = (): boolean => localStorage.getItem(soundKey) === "on";
export const badgeOn = (): boolean => localStorage.getItem(badgeKey) !== "off";

export function setSound(on: boolean): void {
  localStorage.setItem(soundKey, on ? "on" : "off");
  if (on) tone();
}

export function setBadge(on: boolean): void {
  localStorage.setItem(badgeKey, on ? "on" : "off");
  mark();
}

/** The page's own title, beside the number of alerts. */
export function setTitle(title: string): void {
  base = title;
  mark();
}

export function watchAlerts(raised: number): void {
  if (raised === before) return;
  if (before >= 0 && raised > before && soundOn()) tone();
  before = raised;
  mark();
}

function mark(): void {
  document.title = badgeOn() && before > 0 ? `(${before}) ${base}` : base;
}

/** Two short notes, made here: nothing is loaded. */
function tone(): void {
  // Of several open tabs one is enough.
  if (Date.now() - Number(localStorage.getItem(soundedKey) ?? 0) < 1000) return;
  localStorage.setItem(soundedKey, String(Date.now()));
  audio ??= new AudioContext();
  for (const [at, frequency] of [
    [0, 660],
    [0.16, 880],
  ] as const) {
    const note = audio.createOscillator();
    const volume = audio.createGain();
    note.frequency.value = frequency;
    volume.gain.setValueAtTime(0.12, audio.currentTime + at);
    volume.gain.exponentialRampToValueAtTime(0.001, audio.currentTime + at + 0.15);
    note.connect(volume).connect(audio.destination);
    note.start(audio.currentTime + at);
    note.stop(audio.currentTime + at + 0.16);
  }
}
