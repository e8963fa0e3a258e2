import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { count, value as shownValue } from "../format";
import { text } from "../text";

export type Series = {
  label: string;
  values: (number | null)[];
  unit?: string;
  low?: (number | null)[];
  high?: (number | null)[];
  dashed?: boolean;
  /** Number of its colour; without it the series' own place. */
  hue?: number;
};

/** Something that happened: a line, or a stretch, on the time axis. Seconds since the epoch. */
export type Mark = { from: number; to?: number; label: string; kind: "critical" | "warning" | "info" };

export type TrendChartProps = {
  times: number[];
  series: Series[];
  label: string;
  marks?: Mark[];
  height?: number;
  /** The shown stretch, in seconds; without it all of the times. */
  range?: [number, number];
  /** Told when somebody zooms or pans; without it the chart shows what it is given. */
  onRange?: (from: number, to: number) => void;
  zero?: boolean;
  /** What is said when there is nothing to draw. */
  empty?: string;
};

const colours = ["--series-1", "--series-2", "--series-3", "--series-4", "--series-5", "--series-6"];
const markColours = { critical: "--bad", warning: "--warn-line", info: "--series-3" } as const;
const colour = (name: string) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const wheelStep = 0.8;
const panStep = 0.25;

/**
 * Time series: drag to zoom, drag with shift or the wheel's side to pan, wheel to zoom, double-click for all; with the keyboard arrows
 * pan and plus and minus zoom. Times are seconds since the epoch, shown in the viewer's zone.
 */
export function TrendChart(props: TrendChartProps) {
  const host = useRef<HTMLDivElement>(null);
  const chart = useRef<uPlot | null>(null);
  const latest = useRef(props);
  latest.current = props;
  const shape = props.series.map((s) => `${s.label}|${s.unit ?? ""}|${s.low ? "band" : ""}|${s.dashed ? "-" : ""}`).join("\n");

  useEffect(() => {
    const element = host.current!;
    const build = () => {
      chart.current?.destroy();
      element.replaceChildren();
      chart.current = plotOf(element, latest);
    };
    build();
    const resized = new ResizeObserver(() => chart.current?.setSize({ width: element.clientWidth, height: latest.current.height ?? 300 }));
    resized.observe(element);
    addEventListener("themechange", build);
    return () => {
      removeEventListener("themechange", build);
      resized.disconnect();
      chart.current?.destroy();
      chart.current = null;
    };
  }, [shape]);

  useEffect(() => {
    const plot = chart.current;
    if (!plot) return;
    plot.setData(dataOf(props), false);
    plot.setScale("x", scaleOf(props));
  }, [props.times, props.series, props.range?.[0], props.range?.[1]]);

  useEffect(() => {
    chart.current?.redraw(false);
  }, [props.marks]);

  const keyed = (event: KeyboardEvent) => {
    const plot = chart.current;
    const { onRange } = latest.current;
    if (!plot || !onRange) return;
    const { min, max } = plot.scales.x!;
    const width = max! - min!;
    const moves: Record<string, [number, number]> = {
      ArrowLeft: [min! - width * panStep, max! - width * panStep],
      ArrowRight: [min! + width * panStep, max! + width * panStep],
      "+": [min! + width * 0.1, max! - width * 0.1],
      "=": [min! + width * 0.1, max! - width * 0.1],
      "-": [min! - width * 0.125, max! + width * 0.125],
    };
    const move = moves[event.key];
    if (!move) return;
    event.preventDefault();
    onRange(...move);
  };
  return (
    <div
      class="chart"
      role={props.onRange ? "application" : "img"}
      tabIndex={props.onRange ? 0 : undefined}
      aria-label={props.onRange ? `${props.label}. ${text.chart.keys}` : props.label}
      style={{ minHeight: `${(props.height ?? 300) + 40}px` }}
      onKeyDown={keyed}
    >
      <div ref={host} />
      {props.empty && <p class="chart-nothing">{props.empty}</p>}
    </div>
  );
}

function scaleOf({ times, range }: TrendChartProps): { min: number; max: number } {
  const [min, max] = range ?? [times[0] ?? 0, times.at(-1) ?? 1];
  return max > min ? { min, max } : { min: min - 30, max: max + 30 };
}

/** Series in the order uPlot has them: times, lines, then low and high of each band. */
function dataOf({ times, series }: TrendChartProps): uPlot.AlignedData {
  const bands = series.filter((s) => s.low && s.high).flatMap((s) => [s.high!, s.low!]);
  return [times, ...series.map((s) => s.values), ...bands] as uPlot.AlignedData;
}

function plotOf(element: HTMLElement, latest: { current: TrendChartProps }): uPlot {
  const { series, height = 300, zero } = latest.current;
  const axis: uPlot.Axis = {
    stroke: colour("--muted"),
    grid: { stroke: colour("--grid"), width: 1 },
    ticks: { stroke: colour("--grid"), size: 4 },
    font: "12px system-ui, sans-serif",
  };
  const banded = series.map((s, i) => ({ s, i })).filter(({ s }) => s.low && s.high);
  const hue = (i: number) => colour(colours[(series[i]?.hue ?? i) % colours.length]!);
  // Litres and degrees do not share a scale; the first two have an axis, the legend tells the values of all.
  const scaleOfSeries = series.map((s) => `y ${s.unit || s.label}`);
  const scales = [...new Set(scaleOfSeries)];
  const shownScales = scales.length > 0 ? scales : ["y"];
  const plot = new uPlot(
    {
      width: Math.max(240, element.clientWidth),
      height,
      padding: [8, shownScales.length > 1 ? 0 : 30, 0, 0],
      cursor: { drag: { x: true, y: false, setScale: false }, points: { size: 7 }, focus: { prox: 24 } },
      focus: { alpha: 0.35 },
      legend: { live: true },
      scales: {
        x: { time: true },
        ...Object.fromEntries(shownScales.map((key) => [key, { range: (_: uPlot, min: number | null, max: number | null) => rangeOf(min, max, zero ?? false) }])),
      },
      axes: [
        { ...axis, values: (_, ticks, __, ___, step) => ticks.map((t) => tickText(t, step)) },
        ...shownScales.slice(0, 2).map((scale, n): uPlot.Axis => ({
          ...axis,
          scale,
          side: n === 0 ? 3 : 1,
          size: 62,
          grid: { ...axis.grid, show: n === 0 },
          stroke: shownScales.length > 1 ? hue(scaleOfSeries.indexOf(scale)) : axis.stroke,
          values: (_, ticks) => ticks.map((t) => (Math.abs(t) >= 1e6 ? count(t) : shownValue(t))),
        })),
      ],
      series: [
        { value: (_, t) => (t == null ? "" : new Date(t * 1000).toLocaleString()) },
        ...series.map(
          (s, i): uPlot.Series => ({
            label: s.unit ? `${s.label} (${s.unit})` : s.label,
            scale: scaleOfSeries[i],
            stroke: hue(i),
            width: 1.6,
            dash: s.dashed ? [6, 4] : undefined,
            points: { size: 4, fill: hue(i) },
            spanGaps: false,
            value: (_, v, __, at) => (v == null ? "–" : shownValue(v) + spreadText(latest.current.series[i], at)),
          }),
        ),
        ...banded.flatMap(({ i }): uPlot.Series[] => Array.from({ length: 2 }, () => ({ class: "band", scale: scaleOfSeries[i], stroke: "transparent", points: { show: false } }))),
      ],
      bands: banded.map(({ i }, n) => ({
        series: [1 + series.length + n * 2, 2 + series.length + n * 2],
        fill: `${hue(i)}38`,
      })),
      hooks: {
        draw: [(u) => drawMarks(u, latest.current.marks ?? [])],
        setSelect: [
          (u) => {
            const { left, width } = u.select;
            if (width > 4) latest.current.onRange?.(u.posToVal(left, "x"), u.posToVal(left + width, "x"));
            u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
          },
        ],
      },
    },
    dataOf(latest.current),
    element,
  );
  plot.setScale("x", scaleOf(latest.current));
  makeMovable(plot, latest);
  return plot;
}

/** Least and greatest beside an average, where they differ. */
function spreadText(series: Series | undefined, at: number | null): string {
  const [low, high] = at === null ? [] : [series?.low?.[at], series?.high?.[at]];
  return low == null || high == null || low === high ? "" : ` (${shownValue(low)} – ${shownValue(high)})`;
}

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const clockSeconds = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const dayAndMonth = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const monthAndYear = new Intl.DateTimeFormat(undefined, { month: "short", year: "numeric" });

/** The time at a tick as short as the step between ticks allows; midnight is the day. */
function tickText(seconds: number, step: number): string {
  const at = new Date(seconds * 1000);
  if (step >= 28 * 86_400) return monthAndYear.format(at);
  if (step >= 86_400 || (at.getHours() === 0 && at.getMinutes() === 0 && at.getSeconds() === 0)) return dayAndMonth.format(at);
  return (step < 60 ? clockSeconds : clock).format(at);
}

function rangeOf(min: number | null, max: number | null, zero: boolean): [number, number] {
  if (min == null || max == null) return [0, 1];
  const low = zero ? Math.min(0, min) : min;
  const margin = (max - low || Math.abs(max) || 1) * 0.06;
  return [zero && low === 0 ? 0 : low - margin, max + margin];
}

function drawMarks(u: uPlot, marks: Mark[]): void {
  const { ctx, bbox } = u;
  const ratio = devicePixelRatio;
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
  for (const mark of marks) {
    const x = u.valToPos(mark.from, "x", true);
    const end = mark.to === undefined ? x : u.valToPos(mark.to, "x", true);
    if (end < bbox.left || x > bbox.left + bbox.width) continue;
    const hue = colour(markColours[mark.kind]);
    if (end > x) {
      ctx.fillStyle = hue;
      ctx.globalAlpha = 0.1;
      ctx.fillRect(x, bbox.top, end - x, bbox.height);
      ctx.globalAlpha = 1;
    }
    ctx.strokeStyle = hue;
    ctx.lineWidth = ratio;
    ctx.setLineDash([4 * ratio, 3 * ratio]);
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
    ctx.setLineDash([]);
    ctx.fillStyle = hue;
    ctx.beginPath();
    ctx.moveTo(x - 5 * ratio, bbox.top);
    ctx.lineTo(x + 5 * ratio, bbox.top);
    ctx.lineTo(x, bbox.top + 7 * ratio);
    ctx.fill();
  }
  ctx.restore();
}

function makeMovable(plot: uPlot, latest: { current: TrendChartProps }): void {
  const over = plot.over;
  over.addEventListener(
    "wheel",
    (event) => {
      const { onRange } = latest.current;
      if (!onRange || !(event.ctrlKey || event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY))) return;
      event.preventDefault();
      const { min, max } = plot.scales.x!;
      const width = max! - min!;
      if (event.ctrlKey) {
        const at = plot.posToVal(event.offsetX, "x");
        const factor = event.deltaY < 0 ? wheelStep : 1 / wheelStep;
        onRange(at - (at - min!) * factor, at + (max! - at) * factor);
      } else {
        const shift = (width * (event.deltaX || event.deltaY)) / over.clientWidth;
        onRange(min! + shift, max! + shift);
      }
    },
    { passive: false },
  );
  over.addEventListener("dblclick", () => {
    const { times, onRange } = latest.current;
    if (times.length > 1) onRange?.(times[0]!, times.at(-1)!);
  });
  over.addEventListener(
    "mousedown",
    (down) => {
      const { onRange } = latest.current;
      if (!down.shiftKey || !onRange) return;
      down.stopImmediatePropagation();
      down.preventDefault();
      const { min, max } = plot.scales.x!;
      const perPixel = (max! - min!) / over.clientWidth;
      const moved = (move: MouseEvent) => plot.setScale("x", { min: min! - (move.clientX - down.clientX) * perPixel, max: max! - (move.clientX - down.clientX) * perPixel });
      const up = () => {
        removeEventListener("mousemove", moved);
        removeEventListener("mouseup", up);
        onRange(plot.scales.x!.min!, plot.scales.x!.max!);
      };
      addEventListener("mousemove", moved);
      addEventListener("mouseup", up);
    },
    { capture: true },
  );
}
