// Pictures as cards.

import { linesOf, tagsOf } from "../core/metadata.js";
import { labelOf, nameOf } from "../core/words.js";
import { html } from "../vendor/htm-preact.js";
import { Icon } from "./icons.js";

export const Thumb = ({ item, alt = "" }) => item.thumbnail_url
  ? html`<img src=${item.thumbnail_url} alt=${alt} loading="lazy" decoding="async" />`
  : html`<span class="no-picture"><${Icon} name="picture" /></span>`;

/**
 * One picture; choosing it makes it the query.
 *
 * @param {object} props item, word (for its distance), badge, note, onChoose, onPoint (by mouse or focus), label, mark (+ or -), children (tools)
 */
export function Card({ item, word = "", badge, note, onChoose, onPoint, label, mark, children }) {
  const name = nameOf(item);
  const tags = tagsOf(item.metadata);
  return html`
    <li class=${`cell ${mark ? `marked ${mark === "-" ? "far" : "near"}` : ""}`}>
      <button type="button" class="card" data-id=${item.id} title=${[item.id, ...linesOf(item.metadata)].join("\n")}
        aria-label=${label ?? `Find look-alikes of ${name}`} onClick=${onChoose} onMouseEnter=${onPoint} onFocus=${onPoint}>
        <span class="frame">
          <${Thumb} item=${item} />
          ${badge && html`<span class="badge">${badge}</span>`}
        </span>
        <span class="name">${name}</span>
        ${word && html`<span class=${`word ${word}`}>${labelOf(word)}</span>`}
        ${note && html`<span class="note">${note}</span>`}
        ${tags.length > 0 && html`<span class="tags">${tags.join(" · ")}</span>`}
      </button>
      ${children && html`<span class="tools">${children}</span>`}
    </li>`;
}

export const Tool = ({ icon, label, pressed, onClick }) => html`
  <button type="button" class="tool" aria-label=${label} title=${label} aria-pressed=${pressed} onClick=${onClick}>
    <${Icon} name=${icon} />
  </button>`;
