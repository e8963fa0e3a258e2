interface Props {
  label: string;
  value: string;
  change: (value: string) => void;
  /** What the empty value is called; left out where one of the options has to be chosen. */
  any?: string;
  options: readonly (readonly [value: string, label: string])[];
}

/** A labelled choice in a row of filters. */
export function Choice({ label, value, change, any, options }: Props) {
  return (
    <label class="inline">
      {label}
      <select value={value} onChange={(e) => change(e.currentTarget.value)}>
        {any !== undefined && <option value="">{any}</option>}
        {options.map(([name, shown]) => (
          <option value={name} key={name}>
            {shown}
          </option>
        ))}
      </select>
    </label>
  );
}
