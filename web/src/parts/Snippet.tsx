import { useState } from "preact/hooks";
import { text } from "../text";
import { Icon } from "./Icon";

/** A line to copy: a command, or a token. */
export function Snippet({ line, label }: { line: string; label?: string }) {
  const [copied, setCopied] = useState(false);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(line);
    } catch {
      // Without TLS browsers offer no clipboard on other machines' pages: select it, so that the keyboard can copy.
      const code = document.getElementById(id);
      if (code) getSelection()?.selectAllChildren(code);
      return;
    }
    setCopied(true);
    setTimeout(() => setCopied(false), 2000);
  };
  const id = `line-${line.length}-${line.slice(0, 12).replace(/\W/g, "")}`;
  return (
    <div class="snippet">
      {label && <span class="snippet-label">{label}</span>}
      <code id={id} tabIndex={0}>
        {line}
      </code>
      <button type="button" class="button small" onClick={copy} aria-label={`${text.common.copy} ${label ?? ""}`.trim()}>
        <Icon name="copy" />
        <span aria-live="polite">{copied ? text.common.copied : text.common.copy}</span>
      </button>
    </div>
  );
}
