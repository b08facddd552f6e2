// Small plots as inline SVG.

import { html } from "../vendor/htm-preact.js";

const WIDTH = 280;
const HEIGHT = 170;
const LEFT = 34;
const BOTTOM = 24;

const across = (share) => LEFT + share * (WIDTH - LEFT - 6);
const up = (share) => 6 + (1 - share) * (HEIGHT - BOTTOM - 6);

function Frame({ title, x, y, xs, ys, children }) {
  return html`
    <figure class="plot">
      <svg viewBox=${`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label=${title}>
        <path class="axis" d=${`M${across(0)} ${up(1)}V${up(0)}H${across(1)}`} />
        ${xs.map(([at, label]) => html`<text key=${label} x=${across(at)} y=${HEIGHT - 8} text-anchor="middle">${label}</text>`)}
        ${ys.map(([at, label]) => html`<text key=${label} x=${LEFT - 5} y=${up(at) + 3} text-anchor="end">${label}</text>`)}
        ${children}
      </svg>
      <figcaption><strong>${title}</strong> · ${y} by ${x}</figcaption>
    </figure>`;
}

const SHARES = [[0, "0"], [0.5, ".5"], [1, "1"]];

/** Lines through points of shares, each {points: [[x, y]], name}, the first in the accent colour. */
export const Lines = ({ title, x, y, lines, xs = SHARES }) => html`
  <${Frame} title=${title} x=${x} y=${y} xs=${xs} ys=${SHARES}>
    ${lines.map(({ points, name }, i) => html`
      <path key=${name} class=${`curve ${i ? "other" : ""}`} d=${points.map(([a, b], j) => `${j ? "L" : "M"}${across(a).toFixed(1)} ${up(b).toFixed(1)}`).join("")}>
        <title>${name}</title></path>`)}
  <//>`;

/** Bars of heights from 0 to 1. */
export function Bars({ title, x, y, heights, xs = [], ys = SHARES }) {
  const step = 1 / Math.max(1, heights.length);
  return html`
    <${Frame} title=${title} x=${x} y=${y} xs=${xs} ys=${ys}>
      ${heights.map((height, i) => html`
        <rect key=${i} x=${across(i * step)} y=${up(height)} width=${Math.max(0.6, (across(1) - across(0)) * step * 0.86)} height=${up(0) - up(height)} />`)}
    <//>`;
}

/** Where numbers on a logarithmic axis lie, 0 to 1. */
export const logarithmic = (most) => (value) => Math.log(value) / Math.log(Math.max(2, most));
