// A dialog in the middle, or a sheet at the side.

import { html, useEffect, useRef } from "../vendor/htm-preact.js";
import { Icon } from "./icons.js";

export function Dialog({ title, sheet = false, wide = false, onClose, children }) {
  const dialog = useRef(null);
  useEffect(() => {
    dialog.current.showModal();
  }, []);
  const closeOutside = (event) => {
    if (event.target === dialog.current) onClose();
  };
  return html`
    <dialog ref=${dialog} class=${`dialog ${sheet ? "sheet" : ""} ${wide ? "wide" : ""}`} aria-label=${title}
      onCancel=${(event) => { event.preventDefault(); onClose(); }} onClick=${closeOutside}>
      <div class="dialog-body">
        <div class="dialog-head">
          <h2>${title}</h2>
          <button type="button" class="icon-button" aria-label="Close" onClick=${onClose}>
            <${Icon} name="close" />
          </button>
        </div>
        ${children}
      </div>
    </dialog>`;
}
