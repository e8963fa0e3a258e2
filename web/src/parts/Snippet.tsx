import { useState } from "preact/hooks";
import { text } from "../text";

/** A line to paste into a shell. */
export function Snippet({ line }: { line: string }) {
  const [copied, setCopied] = useState(false);
  return (
    <div class="snippet">
      <code tabIndex={0}>{line}</code>
      <button
        type="button"
        class="button"
        onClick={() => {
          void navigator.clipboard.writeText(line).then(() => setCopied(true));
        }}
      >
        {copied ? text.overview.copied : text.overview.copy}
      </button>
    </div>
  );
}
