// Short messages at the bottom, and deletions that can be undone for a while.

import { Store, useStore } from "../core/store.js";
import { html, useLayoutEffect, useState } from "../vendor/htm-preact.js";

const SHOWN_MS = 6000;
const UNDO_MS = 8000;

const toasts = new Store({ items: [] });
let next = 0;

const drop = (id) => toasts.set({ items: toasts.value.items.filter((item) => item.id !== id) });

function show(item, milliseconds) {
  const id = ++next;
  toasts.set({ items: [...toasts.value.items, { ...item, id }] });
  setTimeout(() => drop(id), milliseconds);
  return id;
}

/** Say something that needs no answer. */
export const say = (text, kind = "plain") => show({ text, kind }, SHOWN_MS);

/**
 * Do something unless it is undone within some seconds.
 *
 * @param {string} text What is about to happen.
 * @param {(isLeaving: boolean) => void} act Does it; `isLeaving` where the page is being closed.
 * @param {() => void} undo Puts back what was hidden.
 */
export function withUndo(text, act, undo) {
  let isPending = true;
  const end = (isLeaving) => {
    if (!isPending) return;
    isPending = false;
    window.removeEventListener("pagehide", leave);
    clearTimeout(timer);
    drop(id);
    act(isLeaving);
  };
  const leave = () => end(true);
  const timer = setTimeout(() => end(false), UNDO_MS);
  const id = show({
    text,
    kind: "plain",
    action: {
      label: "Undo",
      act: () => {
        isPending = false;
        clearTimeout(timer);
        window.removeEventListener("pagehide", leave);
        undo();
      },
    },
  }, UNDO_MS);
  window.addEventListener("pagehide", leave);
}

/** Ids of the open dialogs, the topmost last. */
const layers = new Store({ open: [] });

/** Show the toasts in a dialog while it is the topmost: the rest of the page is inert and lies under it. */
export function useToastLayer() {
  const [layer] = useState(() => ++next);
  useLayoutEffect(() => {
    layers.set({ open: [...layers.value.open, layer] });
    return () => layers.set({ open: layers.value.open.filter((one) => one !== layer) });
  }, []);
  return layer;
}

/**
 * The toasts, where they can be seen and pressed.
 *
 * @param {object} props layer (of `useToastLayer`; null for the page itself)
 */
export function Toasts({ layer = null }) {
  const { open } = useStore(layers);
  const { items } = useStore(toasts);
  if ((open.at(-1) ?? null) !== layer) return null;
  return html`
    <div class="toasts" role="status">
      ${items.map((item) => html`
        <p class=${`toast ${item.kind}`} key=${item.id}>
          <span>${item.text}</span>
          ${item.action && html`
            <button type="button" class="link" onClick=${() => { drop(item.id); item.action.act(); }}>
              ${item.action.label}
            </button>`}
        </p>`)}
    </div>`;
}
