// Two pictures side by side, with the bits in which their codes differ.

import { Dialog } from "../../components/dialog.js";
import { Icon } from "../../components/icons.js";
import { ProblemNotice } from "../../components/notices.js";
import { Thumb } from "../../components/picture.js";
import { formOf, post, postForm } from "../../core/api.js";
import { linesOf } from "../../core/metadata.js";
import { labelOf, nameOf, percent, plural } from "../../core/words.js";
import { html, useEffect, useState } from "../../vendor/htm-preact.js";

/** The bits of a code in hex, the least significant of each byte first, as the service numbers them. */
const bitsOf = (hex) => (hex.match(/../g) ?? []).flatMap((pair) => {
  const octet = parseInt(pair, 16);
  return Array.from({ length: 8 }, (_, i) => (octet >> i) & 1);
});

function Bits({ codes }) {
  const [first, second] = codes.map(bitsOf);
  const columns = first.length >= 256 ? 32 : 16;
  const rows = Math.ceil(first.length / columns);
  return html`
    <svg class="bits" id="bits" viewBox=${`0 0 ${columns} ${rows}`} role="img"
      aria-label=${`${first.filter((bit, i) => bit !== second[i]).length} of ${first.length} bits differ`}>
      ${first.map((bit, i) => html`
        <rect key=${i} class=${bit !== second[i] ? "differs" : bit ? "set" : ""} x=${i % columns + 0.06}
          y=${Math.floor(i / columns) + 0.06} width="0.88" height="0.88" rx="0.2" />`)}
    </svg>`;
}

const KINDS = { copies: "edited copies", same_kind: "pictures of one kind", unrelated: "unrelated pictures" };

function Verdict({ found }) {
  const shares = Object.entries(found.shares_within ?? {}).filter(([kind]) => KINDS[kind]);
  return html`
    <p class="verdict"><strong>${labelOf(found.likeness) || "Not measured"}</strong>
      <span>${plural(found.distance, "bit")} of ${found.bits} differ</span></p>
    <${Bits} codes=${found.codes} />
    ${shares.length > 0 && html`
      <p class="soft-text">Share of the measured pairs at this distance or nearer: ${" "}
        ${shares.map(([kind, share]) => `${percent(share)} of ${KINDS[kind]}`).join(", ")}.</p>`}
    ${found.descriptor_distance !== null && html`
      <p class="soft-text">Distance of the descriptors: ${found.descriptor_distance.toFixed(3)} (0 equal, 1 unrelated)</p>`}`;
}

const Side = ({ title, children, metadata }) => html`
  <figure class="side"><div class="side-picture">${children}</div>
    <figcaption><strong>${title}</strong>${linesOf(metadata).map((line) => html`<span key=${line}>${line}</span>`)}</figcaption>
  </figure>`;

function Preview({ src }) {
  const [isShown, setShown] = useState(true);
  return src && isShown
    ? html`<img src=${src} alt="The query" onError=${() => setShown(false)} />`
    : html`<span class="no-picture"><${Icon} name="picture" /></span>`;
}

export function CompareDialog({ query, hit, collection, onClose }) {
  const [found, setFound] = useState(null);
  const [problem, setProblem] = useState(null);
  useEffect(() => {
    const asked = query.file
      ? postForm("/compare", formOf({ first: query.file, second: hit.id, collection }))
      : post("/compare", { first: query.id, second: hit.id, collection });
    asked.then(setFound, setProblem);
  }, []);
  return html`
    <${Dialog} title="Compare" wide onClose=${onClose}>
      <div class="sides">
        <${Side} title=${query.name} metadata=${query.stored?.metadata}><${Preview} src=${query.picture} /><//>
        <${Side} title=${nameOf(hit)} metadata=${hit.metadata}><${Thumb} item=${hit} alt="The picture found" /><//>
      </div>
      ${problem && html`<${ProblemNotice} problem=${problem} />`}
      ${found && html`<div class="comparison" id="comparison"><${Verdict} found=${found} /></div>`}
    <//>`;
}
