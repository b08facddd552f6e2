// A dialog in the middle, or a sheet at the side.

import { html, useLayoutEffect, useRef } from "../vendor/htm-preact.js";
import { Icon } from "./icons.js";
import { Toasts, useToastLayer } from "./toasts.js";

export function Dialog({ title, sheet = false, wide = false, onClose, children }) {
  const dialog = useRef(null);
  const pressedOutside = useRef(false);
  const layer = useToastLayer();
  useLayoutEffect(() => {
    const opener = document.activeElement;
    const shown = dialog.current;
    shown.showModal();
    return () => {
      // A dialog that leaves the document without being closed would leave the focus nowhere.
      shown.close();
      if (opener?.isConnected) opener.focus({ preventScroll: true });
      else document.getElementById("found")?.focus({ preventScroll: true });
    };
  }, []);
  const isOutside = (event) => event.target === dialog.current;
  // Selecting text from the inside to the outside is no click outside.
  const press = (event) => { pressedOutside.current = isOutside(event); };
  const closeOutside = (event) => {
    if (isOutside(event) && pressedOutside.current) onClose();
  };
  return html`
    <dialog ref=${dialog} class=${`dialog ${sheet ? "sheet" : ""} ${wide ? "wide" : ""}`} aria-label=${title}
      onCancel=${(event) => { event.preventDefault(); onClose(); }} onPointerDown=${press} onClick=${closeOutside}>
      <div class="dialog-body">
        <div class="dialog-head">
          <h2>${title}</h2>
          <button type="button" class="icon-button" aria-label="Close" onClick=${onClose}>
            <${Icon} name="close" />
          </button>
        </div>
        ${children}
      </div>
      <${Toasts} layer=${layer} />
    </dialog>`;
}
