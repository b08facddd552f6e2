// A slider for the farthest distance, under a histogram of the distances from the query.

import { count, labelOf, percent, shareWithin, suggestedMark, wordOf } from "../core/words.js";
import { html, useEffect, useState } from "../vendor/htm-preact.js";

const WIDTH = 256;
const HEIGHT = 56;
const BARS = 64;

function bars(counts, bits) {
  const size = Math.max(1, Math.ceil((bits + 1) / BARS));
  const sums = [];
  for (let at = 0; at <= bits; at += size) sums.push(counts.slice(at, at + size).reduce((a, b) => a + b, 0));
  const most = Math.max(1, ...sums);
  return sums.map((sum, i) => ({
    x: ((i * size) / bits) * WIDTH,
    width: (size / bits) * WIDTH,
    // By square roots, so that the few near ones are seen beside the many far ones.
    height: sum ? Math.max(1.5, Math.sqrt(sum / most) * HEIGHT) : 0,
  }));
}

function Chart({ distances, bits, max, mark }) {
  const at = (distance) => (distance / bits) * WIDTH;
  return html`
    <svg class="histogram" viewBox=${`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" role="img"
      aria-label="Number of pictures at each distance">
      ${distances && bars(distances.counts, bits).map((bar, i) => html`
        <rect key=${i} class=${bar.x < at(max) ? "within" : ""} x=${bar.x} y=${HEIGHT - bar.height}
          width=${Math.max(0.5, bar.width - 0.6)} height=${bar.height} />`)}
      ${mark !== null && html`<line class="mark" x1=${at(mark)} x2=${at(mark)} y1="0" y2=${HEIGHT} />`}
    </svg>`;
}

/** What a bound means, in words. */
export function meaningOf(calibration, distance) {
  const word = labelOf(wordOf(calibration, distance));
  const mark = suggestedMark(calibration);
  const unrelated = shareWithin(calibration, "unrelated", distance);
  if (unrelated === null) return "";
  if (distance <= mark) return `${word} · at most about 1 false match in 10,000`;
  return unrelated < 0.01 ? `${word} · fewer than 1 false match in 100` : `${word} · about ${percent(unrelated)} false matches`;
}

/**
 * @param {object} props bits, max (or null for any), distances (or null), calibration, onChange (of the bound)
 */
export function DistanceSlider({ bits, max, distances, calibration, onChange }) {
  const [shown, setShown] = useState(max ?? bits);
  useEffect(() => setShown(max ?? bits), [max, bits]);
  const mark = suggestedMark(calibration);
  const isOpen = shown >= bits;
  const within = distances && distances.counts.slice(0, shown + 1).reduce((a, b) => a + b, 0);
  const text = isOpen ? "any distance" : `up to ${shown} of ${bits} bits`;
  const meaning = isOpen ? "" : meaningOf(calibration, shown);
  const put = (value) => onChange(value >= bits ? null : value);
  return html`
    <div class="distance">
      <label class="spread" for="distance"><span>Farthest</span> <output id="distance-shown" for="distance">${text}</output></label>
      ${distances && html`<${Chart} distances=${distances} bits=${bits} max=${isOpen ? bits + 1 : shown + 0.5} mark=${mark} />`}
      <input id="distance" type="range" min="0" max=${bits} value=${shown} aria-valuetext=${`${text} ${meaning}`}
        onInput=${(event) => setShown(Number(event.target.value))} onChange=${(event) => put(Number(event.target.value))} />
      <p class="soft-text" id="distance-meaning">
        ${within !== null && within !== undefined && !isOpen && html`${count(within)} within. `}${meaning}
      </p>
      ${mark !== null && shown !== mark && html`
        <button type="button" class="link" id="suggested" onClick=${() => put(mark)}>
          Use ${mark}: about 1 false match in 10,000
        </button>`}
    </div>`;
}
