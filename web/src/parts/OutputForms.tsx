import { useState } from "preact/hooks";
import { text } from "../text";

export type Output = { kind: string; [member: string]: unknown };
export type Outputs = Record<string, Output>;

const t = text.outputs;

/** How a member of an output is entered: as one text, a choice, a number, or a list with commas between. */
type Member = { name: string; type: "text" | "number" | "list" | "choice" | "flag"; needed?: boolean; choices?: string[]; hint?: string };

const members: Record<string, Member[]> = {
  live: [],
  alert: [
    { name: "rule", type: "text", needed: true, hint: "low-credit" },
    { name: "key", type: "list", hint: "id" },
    { name: "severity", type: "choice", choices: ["warning", "critical", "info"] },
    { name: "message", type: "text", hint: "{id}: {value}" },
    { name: "clearAfter", type: "text", hint: "15m" },
    { name: "repeatEvery", type: "text", hint: "1h" },
    { name: "notify", type: "list", hint: "desk@example.org, https://…" },
    { name: "raiseOnGap", type: "flag" },
  ],
  "alert-clear": [
    { name: "rule", type: "text", needed: true, hint: "low-credit" },
    { name: "key", type: "list", hint: "id" },
  ],
  files: [
    { name: "path", type: "text", needed: true, hint: "high.jsonl" },
    { name: "format", type: "choice", choices: ["jsonl", "csv"] },
    { name: "rollSeconds", type: "number", hint: "3600" },
    { name: "rollBytes", type: "number" },
  ],
  sql: [
    { name: "provider", type: "choice", choices: ["sqlite", "postgres", "mysql"], needed: true },
    { name: "connection", type: "text", needed: true },
    { name: "table", type: "text", needed: true },
    { name: "key", type: "list" },
    { name: "schema", type: "text" },
  ],
  webhook: [
    { name: "url", type: "text", needed: true, hint: "https://…" },
    { name: "secret", type: "text" },
    { name: "batchRows", type: "number" },
    { name: "batchMs", type: "number" },
  ],
  email: [
    { name: "to", type: "text", needed: true, hint: "desk@example.org" },
    { name: "subject", type: "text" },
    { name: "digestSeconds", type: "number" },
  ],
  sheets: [
    { name: "spreadsheet", type: "text", needed: true },
    { name: "range", type: "text", needed: true },
    { name: "credentials", type: "text", needed: true },
    { name: "folder", type: "text" },
  ],
};

/** Where the rows of each output of the script go. What the script does not name any more is not shown, and not saved. */
export function OutputForms({ names, outputs, change }: { names: string[]; outputs: Outputs; change: (next: Outputs) => void }) {
  if (names.length === 0) return <p class="muted">{t.none}</p>;
  const keyOf = (name: string) => Object.keys(outputs).find((key) => key.toLowerCase() === name.toLowerCase());
  const set = (name: string, output: Output) => {
    const next = { ...outputs };
    const before = keyOf(name);
    if (before) delete next[before];
    next[name] = output;
    change(next);
  };
  return (
    <div class="output-forms">
      {names.map((name) => (
        <OutputForm key={name} name={name} output={outputs[keyOf(name) ?? ""] ?? { kind: "live" }} change={(output) => set(name, output)} />
      ))}
    </div>
  );
}

function OutputForm({ name, output, change }: { name: string; output: Output; change: (output: Output) => void }) {
  const set = (member: Member, entered: string | boolean) => {
    const next = { ...output };
    const value = parse(member, entered);
    if (value === undefined) delete next[member.name];
    else next[member.name] = value;
    change(next);
  };
  return (
    <fieldset class="output-form">
      <legend class="mono">{name}</legend>
      <label>
        {t.kind}
        <select value={output.kind} onChange={(e) => change({ kind: e.currentTarget.value, ...defaults[e.currentTarget.value] })}>
          {Object.keys(members).map((kind) => (
            <option value={kind} key={kind}>
              {text.outputKinds[kind] ?? kind}
            </option>
          ))}
        </select>
      </label>
      {(members[output.kind] ?? []).map((member) => (
        <label key={member.name} class={member.type === "flag" ? "check" : ""}>
          {member.type === "flag" && <input type="checkbox" checked={output[member.name] === true} onChange={(e) => set(member, e.currentTarget.checked)} />}
          <span>
            {t.members[member.name] ?? member.name}
            {member.needed && <span class="needed"> *</span>}
          </span>
          {member.type === "choice" && (
            <select value={String(output[member.name] ?? member.choices![0])} onChange={(e) => set(member, e.currentTarget.value)}>
              {member.choices!.map((choice) => (
                <option value={choice} key={choice}>
                  {choice}
                </option>
              ))}
            </select>
          )}
          {member.type !== "choice" && member.type !== "flag" && (
            <Entry key={output.kind} member={member} value={output[member.name]} set={(entered) => set(member, entered)} />
          )}
        </label>
      ))}
      {output.kind === "live" && <p class="muted small">{t.liveText}</p>}
    </fieldset>
  );
}

/** Keeps what is typed as it is typed: a list that ends in a comma is not yet a list. */
function Entry({ member, value, set }: { member: Member; value: unknown; set: (entered: string) => void }) {
  const [typed, setTyped] = useState(() => entry(value));
  return (
    <input
      inputMode={member.type === "number" ? "numeric" : "text"}
      required={member.needed}
      placeholder={member.hint}
      value={typed}
      onInput={(e) => {
        setTyped(e.currentTarget.value);
        set(e.currentTarget.value);
      }}
    />
  );
}

const defaults: Record<string, Record<string, unknown>> = {
  alert: { severity: "warning", key: ["id"] },
  "alert-clear": { key: ["id"] },
  files: { format: "jsonl" },
  sql: { provider: "sqlite" },
};

function entry(value: unknown): string {
  if (Array.isArray(value)) return value.map((v) => (typeof v === "string" ? v : JSON.stringify(v))).join(", ");
  return value === undefined || value === null ? "" : String(value);
}

function parse(member: Member, entered: string | boolean): unknown {
  if (typeof entered === "boolean") return entered || undefined;
  const text = entered.trim();
  if (!text) return undefined;
  if (member.type === "number") return Number(text);
  if (member.type !== "list") return text;
  // Objects among the items, as notifications may be, carry commas of their own.
  if (text.includes("{")) {
    try {
      return JSON.parse(`[${text}]`) as unknown[];
    } catch {
      return [text];
    }
  }
  return text.split(",").map((part) => part.trim()).filter(Boolean);
}
