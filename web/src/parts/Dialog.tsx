import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { explain } from "../api";
import { text } from "../text";
import { Icon } from "./Icon";
import { Trouble } from "./Messages";

type Props = {
  title: string;
  close: () => void;
  /** What the main button does; the dialog stays open, and says why, when it fails. */
  submit?: (form: FormData) => Promise<void>;
  action?: string;
  danger?: boolean;
  wide?: boolean;
  children: ComponentChildren;
};

/** A modal dialog: the browser keeps the focus inside and gives it back. */
export function Dialog({ title, close, submit, action, danger, wide, children }: Props) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [problem, setProblem] = useState("");
  const [busy, setBusy] = useState(false);
  useEffect(() => {
    dialog.current?.showModal();
  }, []);
  const go = async (event: SubmitEvent) => {
    event.preventDefault();
    if (!submit || busy) return;
    setBusy(true);
    try {
      await submit(new FormData(event.currentTarget as HTMLFormElement));
    } catch (error) {
      setProblem(explain(error));
    } finally {
      setBusy(false);
    }
  };
  return (
    <dialog ref={dialog} class={wide ? "wide" : ""} onClose={close} aria-label={title}>
      <form class="form" onSubmit={go}>
        <div class="dialog-head">
          <h2>{title}</h2>
          <button type="button" class="quiet" aria-label={text.common.close} onClick={close}>
            <Icon name="close" />
          </button>
        </div>
        {children}
        <Trouble problem={problem} />
        <div class="row end">
          <button type="button" class="button" onClick={close}>
            {submit ? text.common.cancel : text.common.close}
          </button>
          {submit && (
            <button class={`button ${danger ? "danger" : "primary"}`} disabled={busy}>
              {action ?? text.common.save}
            </button>
          )}
        </div>
      </form>
    </dialog>
  );
}

/** A question before something that cannot be taken back. */
export function Confirm({ title, action, close, go, children }: { title: string; action: string; close: () => void; go: () => Promise<void>; children: ComponentChildren }) {
  return (
    <Dialog title={title} action={action} danger close={close} submit={go}>
      {children}
    </Dialog>
  );
}
