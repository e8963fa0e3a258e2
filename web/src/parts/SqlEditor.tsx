import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import type { SeenField } from "../api";
import { text } from "../text";
import { type Token, eventNames, functions, keywords, offsetOf, tokens } from "./sql";

export type ScriptError = { line: number; column: number; message: string };
type Choice = { insert: string; label: string; detail: string };

const choicesMax = 40;
const lineHeight = 21;
const padding = 12;
const gutter = 44;
const t = text.job;

/**
 * A textarea with colours: the text that is typed lies, transparent, over the same text in colours. So everything a textarea can do
 * works (undo, selection, screen readers, input methods), and mistakes are underlined where the server found them.
 */
export function SqlEditor({ script, change, errors, fields, label }: { script: string; change: (script: string) => void; errors: ScriptError[]; fields: SeenField[]; label: string }) {
  const area = useRef<HTMLTextAreaElement>(null);
  const back = useRef<HTMLDivElement>(null);
  const ruler = useRef<HTMLSpanElement>(null);
  const [choices, setChoices] = useState<Choice[]>([]);
  const [chosen, setChosen] = useState(0);
  const [place, setPlace] = useState({ left: 0, top: 0 });

  const marked = useMemo(() => {
    const pieces = tokens(script);
    return { pieces, errors: errorsByToken(script, pieces, errors) };
  }, [script, errors]);
  const lines = script.split("\n").length;

  const close = () => setChoices([]);

  const suggest = (forced: boolean) => {
    const input = area.current!;
    const before = input.value.slice(0, input.selectionStart);
    const word = /[A-Za-z_][\w.]*$/.exec(before)?.[0] ?? "";
    const inside = pieceAt(input.value, input.selectionStart);
    if ((!word && !forced) || inside === "comment" || inside === "string") return close();
    const found = choicesFor(word, fields);
    if (found.length === 0 || (found.length === 1 && found[0]!.insert === word)) return close();
    const line = before.split("\n").length - 1;
    const column = before.length - before.lastIndexOf("\n") - 1 - word.length;
    const width = ruler.current!.getBoundingClientRect().width / 10;
    setPlace({ left: gutter + padding + column * width - input.scrollLeft, top: padding + (line + 1) * lineHeight - input.scrollTop });
    setChosen(0);
    setChoices(found);
  };

  const accept = (choice: Choice) => {
    const input = area.current!;
    const end = input.selectionStart;
    const start = end - (/[A-Za-z_][\w.]*$/.exec(input.value.slice(0, end))?.[0].length ?? 0);
    input.focus();
    input.setSelectionRange(start, end);
    // Typed as if by hand, so that undo takes it back.
    if (!document.execCommand("insertText", false, choice.insert)) {
      input.setRangeText(choice.insert, start, end, "end");
      change(input.value);
    }
    close();
  };

  const keyed = (event: KeyboardEvent) => {
    if (event.key === " " && event.ctrlKey) {
      event.preventDefault();
      suggest(true);
      return;
    }
    if (choices.length === 0) return;
    const moves: Record<string, () => void> = {
      ArrowDown: () => setChosen((chosen + 1) % choices.length),
      ArrowUp: () => setChosen((chosen + choices.length - 1) % choices.length),
      Enter: () => accept(choices[chosen]!),
      Tab: () => accept(choices[chosen]!),
      Escape: close,
    };
    const move = moves[event.key];
    if (!move || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    event.stopPropagation();
    move();
  };

  useEffect(() => {
    document.getElementById(`choice-${chosen}`)?.scrollIntoView({ block: "nearest" });
  }, [chosen]);

  return (
    <div class="editor">
      <div class="editor-back" ref={back} aria-hidden="true">
        <div class="editor-lines">
          {Array.from({ length: lines }, (_, i) => (
            <span class={errors.some((e) => e.line === i + 1) ? "wrong" : ""} key={i}>
              {i + 1}
            </span>
          ))}
        </div>
        <pre>
          {marked.pieces.map((piece, i) => (
            <span class={`${piece.kind ? `sql-${piece.kind}` : ""} ${marked.errors.has(i) ? "sql-error" : ""}`} key={i}>
              {piece.text}
            </span>
          ))}
          {marked.errors.has(-1) && <span class="sql-error"> </span>}
          {"\n"}
        </pre>
        <span class="editor-ruler" ref={ruler}>
          0123456789
        </span>
      </div>
      <textarea
        ref={area}
        value={script}
        spellcheck={false}
        autocomplete="off"
        autocapitalize="off"
        wrap="off"
        aria-label={label}
        aria-invalid={errors.length > 0}
        aria-describedby="editor-errors editor-help"
        aria-autocomplete="list"
        aria-controls={choices.length > 0 ? "editor-choices" : undefined}
        aria-activedescendant={choices.length > 0 ? `choice-${chosen}` : undefined}
        onInput={(event) => {
          change(event.currentTarget.value);
          suggest(false);
        }}
        onKeyDown={keyed}
        onBlur={() => setTimeout(close, 150)}
        onClick={close}
        onScroll={(event) => {
          back.current!.scrollTo(event.currentTarget.scrollLeft, event.currentTarget.scrollTop);
          close();
        }}
      />
      {choices.length > 0 && (
        <ul class="choices" id="editor-choices" role="listbox" aria-label={t.choices} style={{ left: `${place.left}px`, top: `${place.top}px` }}>
          {choices.map((choice, i) => (
            <li
              id={`choice-${i}`}
              key={choice.label}
              role="option"
              aria-selected={i === chosen}
              onMouseDown={(event) => {
                event.preventDefault();
                accept(choice);
              }}
            >
              <span class="mono">{choice.label}</span>
              <span class="muted">{choice.detail}</span>
            </li>
          ))}
        </ul>
      )}
      <p class="visually-hidden" id="editor-help">
        {t.editorHelp}
      </p>
    </div>
  );
}

/** Numbers of the tokens that stand where the errors are; -1 is the end of the script. */
function errorsByToken(script: string, pieces: Token[], errors: ScriptError[]): Set<number> {
  const wrong = new Set<number>();
  for (const error of errors) {
    const at = offsetOf(script, error.line, error.column);
    wrong.add(pieces.findIndex((piece) => piece.kind !== "" && at < piece.at + piece.text.length));
  }
  return wrong;
}

const pieceAt = (script: string, at: number): string => tokens(script).find((p) => at > p.at && at <= p.at + p.text.length)?.kind ?? "";

/** Fields seen in the data first, then names of every event, functions and words of the language. */
function choicesFor(word: string, fields: SeenField[]): Choice[] {
  const wanted = word.toLowerCase();
  const fits = (name: string) => name.toLowerCase().startsWith(wanted) || (wanted.length > 1 && name.toLowerCase().includes(`.${wanted}`));
  const known = fields.filter((f) => fits(f.name)).map((f): Choice => ({ insert: quoted(f.name), label: f.name, detail: `${text.kinds[f.kind] ?? f.kind} · ${f.example}` }));
  const words = [
    ...eventNames.map((name) => ({ name, detail: t.everyEvent })),
    ...functions.map((name) => ({ name, detail: t.function })),
    ...keywords.map((name) => ({ name, detail: t.keyword })),
  ]
    .filter(({ name }) => wanted.length > 0 && name.toLowerCase().startsWith(wanted) && !known.some((k) => k.label === name))
    .map(({ name, detail }): Choice => ({ insert: name, label: name, detail }));
  return [...known, ...words].slice(0, choicesMax);
}

const reserved = new Set(keywords.flatMap((k) => k.split(" ")).concat("LEFT", "RIGHT", "FULL", "TOP", "ORDER"));

/** A path as it has to be written: parts that are words of the language, or no names, stand in brackets. */
function quoted(path: string): string {
  return path
    .split(".")
    .map((part) => (/^[A-Za-z_]\w*$/.test(part) && !reserved.has(part.toUpperCase()) ? part : `[${part}]`))
    .join(".");
}
