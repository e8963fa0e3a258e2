import type { ComponentChildren } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";

/** Browsers cannot lay out elements of any height; beyond this the scroll bar stands for more rows per pixel. */
const heightMax = 8_000_000;

type Props = {
  label: string;
  head: ComponentChildren;
  /** How many rows there are, as far as known. */
  rows: number;
  rowHeight: number;
  row: (index: number) => ComponentChildren;
  /** Told which rows are in view. */
  view: (first: number, end: number) => void;
};

/** A table of which only the rows in view exist. It scrolls as a tall element would, so wheel, keys and scroll bar all work. */
export function VirtualTable({ label, head, rows, rowHeight, row, view }: Props) {
  const box = useRef<HTMLDivElement>(null);
  const [top, setTop] = useState(0);
  const [size, setSize] = useState(600);
  useLayoutEffect(() => {
    const element = box.current!;
    const measured = new ResizeObserver(() => setSize(element.clientHeight));
    measured.observe(element);
    return () => measured.disconnect();
  }, []);

  const headHeight = 36;
  const inView = Math.max(1, (size - headHeight) / rowHeight);
  const full = rows * rowHeight + headHeight;
  const height = Math.min(full, heightMax);
  const scale = height < full ? (rows - inView) / Math.max(1, height - size) : 1 / rowHeight;
  const at = Math.max(0, Math.min(top * scale, rows - Math.floor(inView)));
  const first = Math.floor(at);
  const end = Math.min(rows, first + Math.ceil(inView) + 1);

  useEffect(() => view(first, end), [first, end, rows]);
  useEffect(() => {
    // Another list begins at its top.
    if (rows === 0) box.current!.scrollTop = 0;
  }, [rows === 0]);

  const indices = Array.from({ length: Math.max(0, end - first) }, (_, i) => first + i);
  return (
    <div class="virtual" ref={box} tabIndex={0} role="region" aria-label={label} onScroll={(event) => setTop(event.currentTarget.scrollTop)}>
      <div style={{ height: `${Math.max(height, 1)}px` }}>
        <div class="virtual-window" style={{ height: `${Math.min(size, height)}px` }}>
          <table aria-rowcount={rows + 1}>
            <thead>
              <tr aria-rowindex={1}>{head}</tr>
            </thead>
            <tbody style={{ transform: `translateY(${-(at - first) * rowHeight}px)` }}>
              {indices.map((index) => (
                <tr key={index} aria-rowindex={index + 2} style={{ height: `${rowHeight}px` }}>
                  {row(index)}
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      </div>
    </div>
  );
}
