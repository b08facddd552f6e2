// The side of the search: the picture, how to bring another, and how to narrow the results.

import { CropDialog, Selection } from "../../components/crop.js";
import { FileButton } from "../../components/files.js";
import { FilterFields } from "../../components/filter.js";
import { DistanceSlider } from "../../components/histogram.js";
import { Icon } from "../../components/icons.js";
import { change, go } from "../../core/address.js";
import { isLocal } from "../../core/service.js";
import { percent, plural } from "../../core/words.js";
import { html, useState } from "../../vendor/htm-preact.js";
import { colourOf, cropOf, cropText, examplesOf, maxOf } from "./query.js";

/** An id or an address, typed. */
function TextQuery({ collection }) {
  const submit = (event) => {
    event.preventDefault();
    const text = event.target.elements.text.value.trim();
    if (!text) return;
    event.target.reset();
    go({ collection, ...(/^https?:\/\//.test(text) ? { url: text } : { like: text }) });
  };
  return html`
    <form class="text-query" id="text-query" onSubmit=${submit} autocomplete="off">
      <input name="text" aria-label="Id or address of a picture" placeholder="or its id or https address" />
      <button class="icon-button" aria-label="Search by id or address"><${Icon} name="search" /></button>
    </form>`;
}

/** Words for what pictures show. */
export function WordQuery({ collection, text = "" }) {
  const submit = (event) => {
    event.preventDefault();
    const words = event.target.elements.words.value.trim();
    if (words) go({ collection, text: words });
  };
  return html`
    <form class="text-query" id="word-query" onSubmit=${submit} autocomplete="off">
      <input name="words" aria-label="Words for what the pictures show" placeholder="or words: dog, beach -cat" maxlength="200" key=${text} defaultValue=${text} />
      <button class="icon-button" aria-label="Search by words"><${Icon} name="search" /></button>
    </form>`;
}

const COUNTED = 4;
const RELATIONS = { kinds: "", kind_of: "known only as a kind of ", related: "not known itself; its relatives " };

/** How a phrase was understood: a few of its kinds, and other meanings to choose. */
function Meaning({ meaning, meanings }) {
  const { sign, word, label, relation, ignored, classes, other_meanings: others, pictures, precision_at_10: precision } = meaning;
  const kinds = classes.slice(0, COUNTED).join(", ");
  const more = classes.length > COUNTED ? ` and ${classes.length - COUNTED} more` : "";
  const taken = {
    tags: () => `: learned from ${plural(pictures, "tagged picture")}; ${percent(precision)} of the first results should be right`,
    text_tower: () => ": understood by the model’s encoder of texts",
  }[relation]?.() ?? ` (${label}): ${RELATIONS[relation]}${kinds}${more}`;
  const choose = (other) => change({
    text: meanings.map((one) => (one === meaning ? `${sign === "-" ? "-" : ""}${other}` : one.phrase)).join(", "),
  });
  return html`
    <div class="meaning">
      <p class="soft-text">${sign === "-" ? "without " : ""}<strong>${word}</strong>${taken}${ignored ? ` · “${ignored}” is ignored` : ""}</p>
      ${others.length > 0 && html`<div class="chips" role="group" aria-label=${`Other meanings of ${word}`}>
        ${others.map((other) => html`<button type="button" class="chip" key=${other} onClick=${() => choose(other)}>${other}</button>`)}
      </div>`}
    </div>`;
}

function Invitation({ collection, isOver, onFile }) {
  return html`
    <div class=${`drop ${isOver ? "over" : ""}`} id="drop">
      <div class="invitation" id="invitation">
        <${Icon} name="picture" />
        <strong>Drop or paste a picture</strong>
        <${FileButton} id="file" kind="" onFiles=${onFile}
          label=${html`<span class="for-mouse">Choose a picture</span><span class="for-touch">Take or choose a picture</span>`} />
      </div>
      <${WordQuery} collection=${collection} />
      <${TextQuery} collection=${collection} />
    </div>`;
}

function Asked({ query, facts, meanings, place, region, isOver, onFile }) {
  const [isCropping, setCropping] = useState(false);
  const crop = cropOf(place);
  // Browsers show fewer formats than the service reads.
  const [unshown, setUnshown] = useState(null);
  const isShown = query.picture && unshown !== query.picture;
  const canCrop = Boolean(query.file) && isShown;
  const search = (part) => {
    setCropping(false);
    change({ crop: cropText(part) });
  };
  return html`
    <div class=${`drop asked ${isOver ? "over" : ""}`} id="drop">
      ${query.picture && !isShown && html`<span class="no-preview"><${Icon} name="picture" /> This browser shows no preview of the format.</span>`}
      ${isShown && html`
        <div class=${`preview ${crop ? "cropped" : ""}`} id="frame">
          <img id="preview" src=${query.picture} alt="The query picture" draggable=${false}
            onError=${() => setUnshown(query.picture)} />
          ${region ? html`<${Selection} crop=${region} />` : crop && html`<${Selection} crop=${crop} />`}
        </div>`}
      ${query.text ? html`<${WordQuery} collection=${place.collection} text=${query.text} />`
        : html`<p class="asked-name" id="asked-name">${query.name}</p>`}
      ${meanings.length > 0 && html`<div id="meanings">
        ${meanings.map((meaning) => html`<${Meaning} key=${meaning.phrase} meaning=${meaning} meanings=${meanings} />`)}</div>`}
      ${facts && html`<p class="soft-text" id="asked-facts">${facts}</p>`}
      ${query.examples && html`<${ExampleChips} place=${place} />`}
      <div class="row">
        ${canCrop && !crop && html`<button type="button" id="crop" class="button soft" onClick=${() => setCropping(true)}>
          <${Icon} name="crop" /> Search a part</button>`}
        ${query.file && crop && html`
          <button type="button" id="whole" class="button soft" onClick=${() => change({ crop: null })}>Whole picture</button>`}
        <${FileButton} id="file" label="Another picture" kind="quiet" onFiles=${onFile} />
        <button type="button" id="clear" class="quiet" onClick=${() => go({ collection: place.collection })}>Clear</button>
      </div>
      ${isCropping && html`<${CropDialog} picture=${query.picture} crop=${crop} onCrop=${search} onClose=${() => setCropping(false)} />`}
    </div>`;
}

/** The examples of a search by several pictures. */
function ExampleChips({ place }) {
  const examples = examplesOf(place);
  const without = (id) => {
    const left = examples.filter((example) => example.id !== id);
    const of = (sign) => left.filter((example) => example.sign === sign).map((example) => example.id).join(",");
    change({ plus: of("+"), minus: of("-") });
  };
  return html`
    <div class="chips">
      ${examples.map(({ id, sign }) => html`
        <button type="button" key=${id} class=${`chip ${sign === "+" ? "near" : "far"}`} aria-label=${`Remove ${sign} ${id}`}
          onClick=${() => without(id)}>${sign === "+" ? "+" : "−"} ${id} <${Icon} name="close" /></button>`)}
    </div>`;
}

const RANKS = [
  ["", "Best", "the nearest 200 by descriptors where the model has them, then the others by their codes"],
  ["hamming", "By code", "by distance alone"],
  ["asymmetric", "By weighted bits", "takes about ten times as long as by the codes"],
  ["descriptor", "By descriptor", "the nearest 200 only"],
  ["expanded", "By kind", "the nearest 200 and what they have in common; finds more of a kind"],
];

/** Weighted bits go with one unchanged picture and its usual order. */
const weightless = (rank) => (rank === "asymmetric" ? null : rank);

/** How to rank, and turned pictures, with what each costs. */
function Choices({ query, place }) {
  if (query.examples || query.text) return null;
  const isPicture = query.file || query.url;
  const hasWeights = isPicture && isLocal(place.collection || "default");
  const ranks = RANKS.filter(([name]) => hasWeights || name !== "asymmetric");
  const isTurned = Number(place.turned) > 1;
  const hasParts = Boolean(place.parts);
  const rank = place.rank ?? "";
  const weight = colourOf(place);
  return html`
    <fieldset class="choices">
      <legend>Order</legend>
      ${ranks.map(([name, label, cost]) => html`
        <label class="choice" key=${name}>
          <input type="radio" name="rank" value=${name} checked=${rank === name}
            disabled=${name === "asymmetric" && (isTurned || hasParts || Boolean(place.varied) || Boolean(place.colour))}
            onChange=${() => change({ rank: name })} />
          <span><strong>${label}</strong> <small>${cost}</small></span>
        </label>`)}
      ${isPicture && html`
        <label class="choice">
          <input type="checkbox" id="turned" checked=${isTurned}
            onChange=${(event) => change({ turned: event.target.checked ? "8" : null, parts: null, rank: weightless(rank) })} />
          <span><strong>Turned and mirrored too</strong> <small>encodes the picture eight times: about eight times as long</small></span>
        </label>
        <label class="choice">
          <input type="checkbox" id="parts" checked=${hasParts}
            onChange=${(event) => change({ parts: event.target.checked ? "1" : null, turned: null, rank: weightless(rank) })} />
          <span><strong>Parts of it too</strong> <small>for screenshots, collages and photographs of screens: about fifteen times as long</small></span>
        </label>`}
      <label class="choice">
        <input type="checkbox" id="varied" checked=${Boolean(place.varied)} disabled=${rank === "asymmetric"}
          onChange=${(event) => change({ varied: event.target.checked ? "1" : null, rank: weightless(rank) })} />
        <span><strong>Varied</strong> <small>fewer pictures that resemble each other, such as those of one burst</small></span>
      </label>
      <label class="choice colour" for="colour">
        <span><span class="spread"><strong>Colour</strong> <span id="colour-weight">${weight ? `${weight} %` : "not weighed"}</span></span>
          <small>how much the same colours count, among the nearest 200</small></span>
        <input type="range" id="colour" min="0" max="100" step="5" value=${weight} disabled=${rank === "asymmetric"}
          aria-valuetext=${`${weight} %`}
          onChange=${({ target }) => change({ colour: Number(target.value) ? target.value : null, rank: weightless(rank) })} />
      </label>
    </fieldset>`;
}

/** Everything beside the results. */
export function Ask({ place, collection, query, facts, meanings, bits, distances, calibration, region, isOver, onFile }) {
  const isOpen = window.matchMedia("(min-width: 901px)").matches;
  const narrowings = [place.max, place.filter, place.rank, place.turned, place.parts, place.varied, place.colour].filter(Boolean).length;
  return html`
    <section class="ask" aria-label="What to look for">
      ${query
        ? html`<${Asked} query=${query} facts=${facts} meanings=${meanings} place=${place} region=${region} isOver=${isOver} onFile=${onFile} />`
        : html`<${Invitation} collection=${collection} isOver=${isOver} onFile=${onFile} />`}
      <details id="refine" class="refine" open=${isOpen}>
        <summary>Refine ${narrowings > 0 && html`<span class="soft-text">${plural(narrowings, "choice")}</span>`}</summary>
        <div class="refine-body">
          ${query && !query.examples && !query.text && html`
            <${DistanceSlider} bits=${bits} max=${maxOf(place)} distances=${distances}
              calibration=${calibration} onChange=${(max) => change({ max }, { replace: true })} />`}
          <${FilterFields} collection=${collection} filter=${place.filter} onChange=${(filter) => change({ filter })} />
          ${query && html`<${Choices} query=${query} place=${place} />`}
        </div>
      </details>
    </section>`;
}
