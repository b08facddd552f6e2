// Choosing a part of the picture that is searched with: by mouse, finger or keyboard.

import { html, useLayoutEffect, useRef, useState } from "../vendor/htm-preact.js";
import { Dialog } from "./dialog.js";

/** Smaller than this share of a side is a slip of the hand. */
const LEAST = 0.04;
const STEP = 0.02;
const FIRST = { x: 0.25, y: 0.25, width: 0.5, height: 0.5 };

const between = (value, least = 0, most = 1) => Math.min(most, Math.max(least, value));

const rounded = (value) => Math.round(value * 1e4) / 1e4;

/** Of two sums of fractions, the service takes no more than 1. */
const tidy = ({ x, y, width, height }) => {
  const [left, top] = [rounded(x), rounded(y)];
  return { x: left, y: top, width: rounded(Math.min(1 - left, width)), height: rounded(Math.min(1 - top, height)) };
};

const place = (event, frame) => {
  const box = frame.getBoundingClientRect();
  return { x: between((event.clientX - box.left) / box.width), y: between((event.clientY - box.top) / box.height) };
};

const spanned = (from, to) => ({
  x: Math.min(from.x, to.x), y: Math.min(from.y, to.y), width: Math.abs(from.x - to.x), height: Math.abs(from.y - to.y),
});

const percentages = ({ x, y, width, height }) =>
  ({ left: `${x * 100}%`, top: `${y * 100}%`, width: `${width * 100}%`, height: `${height * 100}%` });

/** The part, shown over a picture. */
export const Selection = ({ crop }) => html`<span class="selection" id="selection" style=${percentages(crop)}></span>`;

/** Arrow keys move the part, with Shift they size it. */
export function moved(crop, event) {
  const [dx, dy] = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP] }[event.key] ?? [];
  if (dx === undefined) return null;
  if (event.shiftKey) {
    return tidy({
      ...crop,
      width: between(crop.width + dx, LEAST, 1 - crop.x),
      height: between(crop.height + dy, LEAST, 1 - crop.y),
    });
  }
  return tidy({ ...crop, x: between(crop.x + dx, 0, 1 - crop.width), y: between(crop.y + dy, 0, 1 - crop.height) });
}

/**
 * A dialog with the picture as large as the window allows.
 *
 * @param {object} props picture (address), crop (or null), onCrop, onClose
 */
export function CropDialog({ picture, crop, onCrop, onClose }) {
  const [part, setPart] = useState(crop ?? FIRST);
  const [from, setFrom] = useState(null);
  const frame = useRef(null);
  const handle = useRef(null);
  useLayoutEffect(() => handle.current.focus(), []);
  const down = (event) => {
    if (event.button !== 0) return;
    event.preventDefault();
    frame.current.setPointerCapture(event.pointerId);
    setFrom({ ...place(event, frame.current), part });
  };
  const move = (event) => {
    if (from) setPart(spanned(from, place(event, frame.current)));
  };
  const up = (event) => {
    if (!from) return;
    const now = spanned(from, place(event, frame.current));
    setPart(now.width < LEAST || now.height < LEAST ? from.part : tidy(now));
    setFrom(null);
  };
  const key = (event) => {
    const next = moved(part, event);
    if (next) {
      event.preventDefault();
      setPart(next);
    } else if (event.key === "Enter") {
      event.preventDefault();
      onCrop(tidy(part));
    }
  };
  const said = `left ${Math.round(part.x * 100)} %, top ${Math.round(part.y * 100)} %, `
    + `${Math.round(part.width * 100)} by ${Math.round(part.height * 100)} %`;
  return html`
    <${Dialog} title="Search a part" wide onClose=${onClose}>
      <p class="soft-text">Drag over the part to search for. Arrow keys move it, Shift with arrow keys resizes it, Esc cancels.</p>
      <div class="crop-stage">
        <div class="crop-frame" id="crop-frame" ref=${frame} onPointerDown=${down} onPointerMove=${move} onPointerUp=${up}
          onPointerCancel=${() => { setPart(from?.part ?? part); setFrom(null); }}>
          <img src=${picture} alt="The query picture" draggable=${false} />
          <span class="selection" id="crop-part" ref=${handle} style=${percentages(part)} tabindex="0" role="group"
            aria-label=${`Part: ${said}`} onKeyDown=${key}></span>
        </div>
      </div>
      <div class="row end">
        <button type="button" class="quiet" onClick=${onClose}>Cancel</button>
        <button type="button" class="button" id="use-part" onClick=${() => onCrop(tidy(part))}>Search this part</button>
      </div>
    <//>`;
}
