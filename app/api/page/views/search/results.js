// The pictures that were found, in the words of the calibration.

import { Bar, Notice } from "../../components/notices.js";
import { Card, Tool } from "../../components/picture.js";
import { count, labelOf, nameOf, plural, similarBound } from "../../core/words.js";
import { html, useState } from "../../vendor/htm-preact.js";
import { maxOf } from "./query.js";
import { useSeen } from "./results-state.js";

const ORIENTATIONS = { 2: "mirrored", 3: "turned by 180°", 4: "mirrored and turned", 5: "mirrored and turned",
  6: "turned by 90°", 7: "mirrored and turned", 8: "turned by 270°" };

/** Whether it is a copy of the query by the rule for copies; its code may be far away then. */
const isCopy = (hit) => hit.exact || hit.likeness === "copy";

function Hit({ hit, isCombined, isByWords, marks, actions }) {
  // Of blank pictures the distance says nothing, so they have no word.
  const word = hit.exact ? "exact" : hit.likeness ?? "";
  const name = nameOf(hit);
  const turn = ORIENTATIONS[hit.orientation];
  const part = hit.region && (hit.region.width < 1 || hit.region.height < 1) ? "a part of it" : "";
  // By several pictures it is a sum, less that of the unwanted ones, so it may be negative.
  // The distance to a text says little.
  const distance = isByWords ? "" : isCombined ? `combined distance ${hit.distance}` : `${plural(hit.distance, "bit")} apart`;
  const found = hit.in_metadata ? "in its metadata" : "";
  const note = [distance, found, turn, part].filter(Boolean).join(" · ");
  const mark = marks.get(hit.id);
  return html`
    <${Card} item=${hit} word=${hit.exact ? "" : word} badge=${hit.exact ? "Exact copy" : null} note=${note} mark=${mark}
      label=${`${name}: ${[labelOf(word), note].filter(Boolean).join(", ")}. Find its look-alikes`}
      onChoose=${() => actions.choose(hit)} onPoint=${hit.region ? () => actions.point(hit.region) : null}>
      <${Tool} icon="plus" label=${`More like ${name}`} pressed=${mark === "+"} onClick=${() => actions.mark(hit.id, "+")} />
      <${Tool} icon="minus" label=${`Less like ${name}`} pressed=${mark === "-"} onClick=${() => actions.mark(hit.id, "-")} />
      ${actions.compare && html`<${Tool} icon="compare" label=${`Compare with ${name}`} onClick=${() => actions.compare(hit)} />`}
      <${Tool} icon="details" label=${`Details of ${name}`} onClick=${() => actions.details(hit)} />
    <//>`;
}

export const Grid = ({ children, id = "results" }) => html`<ol class="grid" id=${id}>${children}</ol>`;

/** Grey places where pictures are about to be. */
export const Ghosts = ({ number = 12 }) => html`
  <ol class="grid ghosts" aria-hidden="true">${Array.from({ length: number }, (_, i) => html`<li key=${i} class="ghost"></li>`)}</ol>`;

/** The button for the next page; it presses itself when it is near. */
export function More({ pages, isAutomatic = true }) {
  const element = useSeen(pages.more, isAutomatic && Boolean(pages.cursor), pages.items.length);
  if (!pages.cursor) return null;
  return html`
    <div class="more" ref=${element}>
      ${pages.isBusy
        ? html`<${Bar} label="Loading more" />`
        : html`<button type="button" id="more" class="button soft" onClick=${pages.more}>More</button>`}
    </div>`;
}

/** What was searched, how long it took, and what an answer leaves out. */
export function summaryOf({ index, took_ms: took, cutoff }, items) {
  const parts = [`${count(index.searched)} searched in ${took.total.toFixed(1)} ms`];
  const ties = items.length && cutoff ? cutoff.total - cutoff.returned : 0;
  if (ties) parts.push(`${count(ties)} more at distance ${cutoff.distance}`);
  if (index.coverage.pending) parts.push(`${count(index.coverage.pending)} not indexed yet`);
  return parts.join(" · ");
}

export const stagesOf = ({ index, took_ms: took }) =>
  [`model ${index.model}`, ...Object.entries(took).map(([name, ms]) => `${name} ${ms.toFixed(1)} ms`)].join(" · ");

export function Results({ pages, calibration, place, marks, actions }) {
  const [isOpen, setOpen] = useState(false);
  const isByWords = Boolean(pages.query?.text);
  const isCombined = isByWords || Boolean(pages.query?.examples);
  const bound = maxOf(place) !== null || isCombined ? null : similarBound(calibration);
  const near = bound === null ? pages.items : pages.items.filter((hit) => isCopy(hit) || hit.distance <= bound);
  const far = bound === null ? [] : pages.items.filter((hit) => !near.includes(hit));
  const hits = (list) => list.map((hit) => html`
    <${Hit} key=${hit.id} hit=${hit} isCombined=${isCombined} isByWords=${isByWords} marks=${marks} actions=${actions} />`);
  if (!pages.items.length) {
    return html`<${Notice} id="empty" title="Nothing found">
      <p>${place.max || place.filter ? "No picture is that close with these settings. Allow a larger distance, or remove a filter."
        : "The collection has no other picture."}</p><//>`;
  }
  return html`
    ${near.length > 0 && html`<${Grid}>${hits(near)}<//>`}
    ${near.length === 0 && html`<${Notice} id="nothing-similar" title="Nothing similar here">
      <p>Even the nearest picture is as far away as unrelated pictures usually are.</p><//>`}
    ${far.length > 0 && html`
      <details id="less" class="less" open=${isOpen} onToggle=${(event) => setOpen(event.target.open)}>
        <summary>Less similar <span class="soft-text">${pages.cursor ? "the rest, nearest first" : plural(far.length, "picture")}</span></summary>
        ${isOpen && html`<${Grid} id="less-results">${hits(far)}<//>`}
      </details>`}
    ${(far.length === 0 || isOpen) && html`<${More} pages=${pages} />`}`;
}
