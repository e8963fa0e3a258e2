import { useMemo, useState } from "preact/hooks";
import { type SeenField, useLoad } from "../api";
import { count, localTime, percent, unitOf, value as shownValue } from "../format";
import { Choice } from "../parts/Choice";
import { Icon } from "../parts/Icon";
import { Trouble } from "../parts/Messages";
import { type Head, Table } from "../parts/Table";
import { type Series, TrendChart } from "../parts/TrendChart";
import { useQueryParameter } from "../router";
import { text } from "../text";

const t = text.trends;
const spans: [string, number, string][] = [
  ["1h", 3600, "1m"],
  ["6h", 21_600, "1m"],
  ["24h", 86_400, "15m"],
  ["7d", 604_800, "1h"],
  ["30d", 2_592_000, "1h"],
  ["1y", 31_536_000, "1d"],
];
const aggregates = ["avg", "min", "max", "sum", "count"];
const points = 800;
const groupsMax = 6;
const refreshMs = 30_000;
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;

type Point = { time: string; count: number; value?: number; avg?: number; min?: number; max?: number };
type TrendSeries = { group: string | null; devices: { reported: number; known: number; share: number }; points: Point[] };
type Trends = { field: string; interval: string; series: TrendSeries[] };

/** The fleet's curves, or those of its groups; the period before beside them; and how many devices stand behind them. */
export function TrendsPage() {
  const { data: seen } = useLoad<{ fields: SeenField[] }>("/api/v1/fields");
  const numeric = (seen?.fields ?? []).filter((f) => f.kind === "number");
  const [chosen, setField] = useQueryParameter("field");
  const [aggregate, setAggregate] = useQueryParameter("aggregate", "avg");
  const [group, setGroup] = useQueryParameter("group", "none");
  const [span, setSpan] = useQueryParameter("range", "24h");
  const [compare, setCompare] = useQueryParameter("compare");
  const [range, setRange] = useState<[number, number] | null>(null);
  const field = chosen || (numeric.find((f) => !f.name.startsWith("originData."))?.name ?? numeric[0]?.name ?? "");
  // A field of the address may be none of those seen lately.
  const fieldNames = [...new Set([field, ...numeric.map((f) => f.name)])];
  const [, seconds, interval] = spans.find(([name]) => name === span) ?? spans[2]!;

  const [to, from] = useMemo(() => {
    const end = range ? range[1] : Math.ceil(Date.now() / 60_000) * 60;
    return [end, range ? range[0] : end - seconds];
  }, [span, range]);
  const query = (shift: number) => {
    const q = new URLSearchParams({
      field,
      aggregate: aggregate === "avg" && group === "none" ? "avg,min,max" : aggregate,
      interval: range ? "auto" : interval,
      group,
      tz: zone,
      points: String(points),
      from: String(Math.round((from - shift) * 1000)),
      to: String(Math.round((to - shift) * 1000)),
    });
    return field ? `/api/v1/trends?${q}` : null;
  };
  const back = compare === "" ? 0 : compare === "span" ? to - from : (spans.find(([name]) => name === compare)?.[1] ?? 0);
  const now = useLoad<Trends>(query(0), range ? 0 : refreshMs);
  const before = useLoad<Trends>(back > 0 ? query(back) : null);
  const drawn = useMemo(() => draw(now.data, before.data, back, aggregate, field), [now.data, before.data, back, aggregate, field]);
  const unit = aggregate === "count" ? t.readings : unitOf(field);
  return (
    <>
      <header>
        <div>
          <h1>{text.nav.trends}</h1>
          <p class="muted">{t.lead}</p>
        </div>
      </header>
      <section class="card flush">
        <div class="filters">
          <Choice label={t.field} value={field} change={setField} options={fieldNames.map((name) => [name, name || "–"] as const)} />
          <Choice label={t.aggregate} value={aggregate} change={setAggregate} options={aggregates.map((a) => [a, text.aggregates[a] ?? a] as const)} />
          <Choice label={t.group} value={group} change={setGroup} options={[["none", t.fleet], ["type", t.byType], ["tag", t.byTag]]} />
          <Choice label={t.compare} value={compare} change={setCompare} any={t.noCompare} options={[["span", t.spanBefore], ["24h", t.dayBefore], ["7d", t.weekBefore]]} />
          <div class="segments push" role="group" aria-label={text.device.range}>
            {spans.map(([name]) => (
              <button
                type="button"
                key={name}
                aria-pressed={!range && name === span}
                onClick={() => {
                  setRange(null);
                  setSpan(name);
                }}
              >
                {text.spans[name]}
              </button>
            ))}
          </div>
        </div>
        <Trouble problem={now.problem || before.problem} />
        <div class="padded" aria-busy={now.loading}>
          {drawn.times.length > 0 ? (
            <TrendChart
              times={drawn.times}
              series={drawn.series.map((s) => ({ ...s, unit }))}
              range={[from, to]}
              onRange={(a, b) => b - a > 60 && setRange([a, b])}
              height={340}
              label={t.chartLabel(field, text.aggregates[aggregate] ?? aggregate)}
            />
          ) : (
            !now.loading && <p class="empty chart-empty">{field ? t.nothing : t.noField}</p>
          )}
          <p class="muted small chart-note">
            {now.data && `${t.interval(now.data.interval)} · `}
            {localTime(new Date(from * 1000).toISOString())} – {localTime(new Date(to * 1000).toISOString())}
            {range && (
              <button type="button" class="link" onClick={() => setRange(null)}>
                <Icon name="zoomOut" /> {t.all}
              </button>
            )}
          </p>
        </div>
      </section>
      <section class="card flush">
        <div class="card-head padded">
          <h2>{t.completeness}</h2>
          <span class="muted small">{t.completenessText}</span>
        </div>
        <Table
          label={t.completeness}
          heads={[
            { label: t.group },
            { label: t.reported },
            { label: t.devices, num: true },
            { label: t.readingsHead, num: true },
            { label: text.aggregates[aggregate] ?? aggregate, num: true },
            ...(back > 0 ? [{ label: t.change, num: true } as Head] : []),
          ]}
        >
          {(now.data?.series ?? []).map((series) => {
            const earlier = before.data?.series.find((s) => s.group === series.group);
            return (
              <tr key={series.group ?? "fleet"}>
                <th scope="row">{groupName(series.group)}</th>
                <td>
                  <div class="completeness">
                    <div class="meter" aria-hidden="true">
                      <div style={{ width: `${series.devices.share * 100}%` }} />
                    </div>
                    <span class="num">{t.share(percent(series.devices.share))}</span>
                  </div>
                </td>
                <td class="num">{t.of(count(series.devices.reported), count(series.devices.known))}</td>
                <td class="num">{count(series.points.reduce((sum, p) => sum + p.count, 0))}</td>
                <td class="num">
                  {shownValue(overall(series, aggregate))} <span class="muted">{unit}</span>
                </td>
                {back > 0 && <td class="num">{earlier ? change(overall(series, aggregate), overall(earlier, aggregate)) : "–"}</td>}
              </tr>
            );
          })}
        </Table>
      </section>
    </>
  );
}

const groupName = (group: string | null): string => (group === null ? t.fleet : group === "" ? t.ungrouped : group);
const valueOf = (point: Point, aggregate: string): number => point.value ?? (point as unknown as Record<string, number>)[aggregate] ?? point.count;

/** One figure for the whole stretch: of averages the average over all readings. */
function overall(series: TrendSeries, aggregate: string): number {
  const values = series.points.map((p) => valueOf(p, aggregate));
  const readings = series.points.reduce((sum, p) => sum + p.count, 0);
  if (values.length === 0) return 0;
  if (aggregate === "avg") return readings > 0 ? series.points.reduce((sum, p) => sum + valueOf(p, "avg") * p.count, 0) / readings : 0;
  if (aggregate === "min") return Math.min(...values);
  if (aggregate === "max") return Math.max(...values);
  return values.reduce((a, b) => a + b, 0);
}

function change(now: number, before: number): string {
  if (before === 0) return "–";
  const share = (now - before) / Math.abs(before);
  return `${share >= 0 ? "+" : "−"}${percent(Math.abs(share))}`;
}

/** All series on one time axis; those of the earlier period are moved to lie under this one's. */
function draw(now: Trends | null, before: Trends | null, back: number, aggregate: string, field: string): { times: number[]; series: Series[] } {
  const lines = (now?.series ?? []).slice(0, groupsMax).map((s) => ({ s, shift: 0, label: s.group === null ? field : groupName(s.group) }));
  const earlier = back > 0 ? (before?.series ?? []).slice(0, groupsMax).map((s) => ({ s, shift: back, label: t.earlier(s.group === null ? field : groupName(s.group)) })) : [];
  const all = [...lines, ...earlier];
  const at = (p: Point, shift: number) => Date.parse(p.time) / 1000 + shift;
  const times = [...new Set(all.flatMap(({ s, shift }) => s.points.map((p) => at(p, shift))))].sort((a, b) => a - b);
  const place = new Map(times.map((time, i) => [time, i]));
  const spread = (s: TrendSeries, shift: number, of: (p: Point) => number | undefined) => {
    const values: (number | null)[] = new Array<number | null>(times.length).fill(null);
    for (const p of s.points) values[place.get(at(p, shift))!] = of(p) ?? null;
    return values;
  };
  return {
    times,
    series: all.map(({ s, shift, label }) => ({
      label,
      dashed: shift > 0,
      hue: lines.findIndex((line) => line.s.group === s.group),
      values: spread(s, shift, (p) => valueOf(p, aggregate)),
      ...(shift === 0 && s.points[0]?.min !== undefined ? { low: spread(s, 0, (p) => p.min), high: spread(s, 0, (p) => p.max) } : {}),
    })),
  };
}
