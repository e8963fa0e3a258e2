import type { ComponentChildren } from "preact";

/** A column's head; that of numbers is set to the right, a hidden one is only read aloud. */
export interface Head {
  label: string;
  num?: boolean;
  hidden?: boolean;
}

/** A table that scrolls sideways on its own where it is wider than the page; the children are its rows. */
export function Table({ label, heads, children }: { label: string; heads: readonly Head[]; children: ComponentChildren }) {
  return (
    <div class="scroll-x" role="region" aria-label={label} tabIndex={0}>
      <table>
        <thead>
          <tr>
            {heads.map((head) => (
              <th scope="col" key={head.label} class={head.num ? "num" : ""}>
                {head.hidden ? <span class="visually-hidden">{head.label}</span> : head.label}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>{children}</tbody>
      </table>
    </div>
  );
}
