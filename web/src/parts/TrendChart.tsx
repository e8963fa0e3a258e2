import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";

export type Series = { label: string; values: (number | null)[] };

const colours = ["--series-1", "--series-2", "--series-3", "--series-4"];
const colour = (name: string) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** Time series with zoom by dragging; times in seconds since the epoch, shown in the viewer's zone. */
export function TrendChart({ times, series, label }: { times: number[]; series: Series[]; label: string }) {
  const host = useRef<HTMLDivElement>(null);
  const chart = useRef<uPlot | null>(null);
  const shape = series.map((s) => s.label).join("\n") + document.documentElement.dataset.theme;

  useEffect(() => {
    const element = host.current!;
    const axis = { stroke: colour("--muted"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line") } };
    const plot = new uPlot(
      {
        width: element.clientWidth,
        height: 300,
        scales: { x: { time: true } },
        axes: [axis, { ...axis, size: 64 }],
        series: [
          {},
          ...series.map((s, i) => ({
            label: s.label,
            stroke: colour(colours[i % colours.length]!),
            width: 1.6,
            points: { size: 4 },
            spanGaps: true,
          })),
        ],
      },
      [times, ...series.map((s) => s.values)] as uPlot.AlignedData,
      element,
    );
    chart.current = plot;
    const resized = new ResizeObserver(() => plot.setSize({ width: element.clientWidth, height: 300 }));
    resized.observe(element);
    return () => {
      resized.disconnect();
      plot.destroy();
    };
  }, [shape]);

  useEffect(() => {
    chart.current?.setData([times, ...series.map((s) => s.values)] as uPlot.AlignedData);
  }, [times, series]);

  return <div ref={host} role="img" aria-label={label} />;
}
