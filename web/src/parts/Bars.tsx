import { value } from "../format";

export type Bar = { label: string; value: number | null; title: string; doubtful?: boolean };

/** A few dozen values side by side: consumption by day. The table beneath says the same to who cannot see it. */
export function Bars({ bars, label, unit }: { bars: Bar[]; label: string; unit: string }) {
  const top = Math.max(...bars.map((b) => b.value ?? 0), 0) || 1;
  return (
    <figure class="bars" aria-label={label}>
      <div class="bars-area" aria-hidden="true">
        {bars.map((bar) => (
          <div class={`bar ${bar.doubtful ? "doubtful" : ""}`} key={bar.label} title={bar.title}>
            <span class="bar-fill" style={{ height: `${(100 * (bar.value ?? 0)) / top}%` }} />
            <span class="bar-label">{bar.label}</span>
          </div>
        ))}
        <span class="bars-top num">
          {value(top)} {unit}
        </span>
      </div>
      <table class="visually-hidden">
        <tbody>
          {bars.map((bar) => (
            <tr key={bar.label}>
              <th scope="row">{bar.label}</th>
              <td>{bar.value === null ? "–" : `${value(bar.value)} ${unit}`}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </figure>
  );
}
