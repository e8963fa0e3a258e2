import { age, briefTime, localTime, utc } from "../format";
import { text } from "../text";

/** A time in the viewer's zone, with UTC in the title. */
export function Time({ at, brief }: { at: string; brief?: boolean }) {
  return (
    <time dateTime={at} title={utc(at)} class="num">
      {brief ? briefTime(at) : localTime(at)}
    </time>
  );
}

/** How long ago, with the time itself in the title. */
export function Ago({ at }: { at: string | null | undefined }) {
  if (!at) return <span class="muted">{text.common.never}</span>;
  return (
    <time dateTime={at} title={`${localTime(at)} · ${utc(at)}`} class="num">
      {text.common.ago(age(at))}
    </time>
  );
}
