/** The last values as a small area; decorative, the number beside it says the same. */
export function Sparkline({ values }: { values: number[] }) {
  const top = Math.max(1, ...values);
  const step = 100 / Math.max(1, values.length - 1);
  const points = values.map((v, i) => `${(i * step).toFixed(2)},${(32 - (v / top) * 30).toFixed(2)}`);
  return (
    <svg class="spark" viewBox="0 0 100 34" preserveAspectRatio="none" aria-hidden="true">
      {points.length > 1 && (
        <>
          <path class="area" d={`M0,34 L${points.join(" L")} L100,34 Z`} />
          <path class="line" d={`M${points.join(" L")}`} />
        </>
      )}
    </svg>
  );
}
