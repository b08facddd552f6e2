// Pictures that are the same or nearly so: which one to keep, and what to do with the rest.

import { FilterFields } from "../components/filter.js";
import { Notice, ProblemNotice } from "../components/notices.js";
import { say } from "../components/toasts.js";
import { get } from "../core/api.js";
import { change } from "../core/address.js";
import { deletions, isHidden } from "../core/deletions.js";
import { filterOf } from "../core/filter.js";
import { changes, service } from "../core/service.js";
import { useStore } from "../core/store.js";
import { boundOf, percent, plural, shareWithin, similarBound, suggestedMark } from "../core/words.js";
import { html, useState } from "../vendor/htm-preact.js";
import { allGroups, toCsv } from "./duplicates/export.js";
import { Group, keptOf } from "./duplicates/group.js";
import { useCalibration } from "./search.js";
import { maxOf } from "./search/query.js";
import { Ghosts, More } from "./search/results.js";
import { usePages } from "./search/results-state.js";

const LIMIT = 20;

/** Radii for codes alone in words, each with the share that it finds and gets wrong. */
function radiiOf(calibration) {
  if (!calibration?.likeness.length) return [[0, "Equal codes"]];
  const words = [[0, "Equal codes"], [boundOf(calibration, "copy"), "Nearly identical"],
    [calibration.quantiles?.copies?.[50] ?? null, "Half of the edited copies"],
    [suggestedMark(calibration), "Most edited copies"], [similarBound(calibration), "Everything similar"]];
  const found = words.filter(([at], i) => at !== null && (i === 0 || at > words[i - 1][0]));
  return found.map(([at, word]) => [at, word, shareWithin(calibration, "copies", at), shareWithin(calibration, "unrelated", at)]);
}

const costOf = ([at, , copies, unrelated]) => {
  const wrong = unrelated ? `about ${percent(unrelated)} of unrelated pairs too` : "almost never an unrelated pair";
  return copies === undefined || copies === null ? `${at} bits` : `${at} bits: finds ${percent(copies)} of edited copies, ${wrong}`;
};

/** The bounds that were applied. */
const boundsOf = (answer) => {
  if (!answer) return "";
  if (answer.rule) return answer.rule.meaning;
  const bound = answer.max_descriptor_distance;
  return `codes within ${answer.max_distance} bits${bound === null ? "" : `, descriptors within ${bound}`}`;
};

function Radius({ calibration, max, answer }) {
  const radii = radiiOf(calibration);
  const known = radii.find(([at]) => at === max);
  const meaning = known ? costOf(known) : `${max} bits`;
  return html`
    <label>How near
      <select id="radius" value=${max === null ? "" : String(max)} onChange=${(event) => change({ max: event.target.value || undefined })}>
        <option value="" selected=${max === null}>Edited copies</option>
        ${max !== null && !known && html`<option value=${max} selected>up to ${max} bits</option>`}
        ${radii.map(([at, word]) => html`<option key=${at} value=${at} selected=${at === max}>${word}</option>`)}
      </select>
      <span class="soft-text" id="radius-meaning">${max === null ? boundsOf(answer) : meaning}</span>
    </label>`;
}

function useGroups(place, collection) {
  const { count: version } = useStore(changes);
  const fields = (cursor) => ({
    collection, max_distance: maxOf(place), filter: filterOf(place.filter), limit: LIMIT, cursor,
  });
  const pages = usePages(
    JSON.stringify([collection, place.max, place.filter]),
    async (signal) => ({ answer: await get("/duplicates", fields(null), { signal }), query: null }),
    (cursor, signal) => get("/duplicates", fields(cursor), { signal }),
    version,
  );
  return { pages, fields };
}

export function DuplicatesView({ place, collection }) {
  const { collections } = useStore(service);
  if (collections.some(({ name, index }) => name === collection && index !== "local")) {
    return html`
      <section class="stack" aria-labelledby="title" id="answer">
        <div class="title-bar"><h1 id="title">Duplicates</h1></div>
        <${Notice} id="remote" title="Not available in this collection"><p>Its index is on a ClickHouse server, which does not
          group pictures. Search by a picture to find its copies.</p><//>
      </section>`;
  }
  return html`<${Groups} place=${place} collection=${collection} />`;
}

function Groups({ place, collection }) {
  const calibration = useCalibration(collection);
  const { pages, fields } = useGroups(place, collection);
  const [policy, setPolicy] = useState("largest");
  const { entries } = useStore(deletions);
  const [isExporting, setExporting] = useState(false);
  const groups = pages.items
    .map((group) => ({ ...group, images: group.images.filter(({ id }) => !isHidden(entries, collection, id, pages.askedAt)) }))
    .filter((group) => group.images.length > 1);
  const save = async () => {
    setExporting(true);
    let found;
    try {
      found = await allGroups((cursor) => get("/duplicates", { ...fields(cursor), limit: 100 }));
    } catch (problem) {
      say(problem.message, "bad");
      return;
    } finally {
      setExporting(false);
    }
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([toCsv(found, (images) => keptOf(images, policy))], { type: "text/csv" }));
    link.download = `duplicates-${collection}.csv`;
    link.click();
    URL.revokeObjectURL(link.href);
  };
  const { answer } = pages;
  return html`
    <section class="stack" aria-labelledby="title" aria-busy=${String(pages.isBusy)} id="answer">
      <div class="title-bar"><h1 id="title">Duplicates</h1>
        <p class="soft-text" id="summary" role="status">${answer && `${plural(answer.images, "picture")} in ${plural(answer.groups, "group")}${
          answer.pending ? ` · ${plural(answer.pending, "picture")} not hashed yet` : ""}`}</p>
        ${groups.length > 0 && html`<button type="button" class="quiet" id="export" disabled=${isExporting} onClick=${save}>Export as CSV</button>`}
      </div>
      <div class="panel">
        <div class="controls top">
          <${Radius} calibration=${calibration} max=${maxOf(place)} answer=${pages.answer} />
          <label>Keep
            <select id="policy" value=${policy} onChange=${(event) => setPolicy(event.target.value)}>
              <option value="largest">the largest</option><option value="oldest">the oldest</option>
            </select>
          </label>
        </div>
        <details open=${Boolean(place.filter)}><summary>Filter</summary>
          <${FilterFields} collection=${collection} filter=${place.filter} onChange=${(filter) => change({ filter })} /></details>
      </div>
      ${pages.problem && html`<${ProblemNotice} problem=${pages.problem} onRetry=${pages.again} />`}
      ${pages.isBusy && !pages.items.length && html`<${Ghosts} number=${6} />`}
      ${!pages.isBusy && !pages.problem && !groups.length && html`
        <${Notice} id="empty" title="No duplicates"><p>No two pictures are that near. Choose a larger distance under “How near”.</p><//>`}
      ${groups.map((group) => html`
        <${Group} key=${`${group.images[0].id} ${policy}`} group=${group} collection=${collection} policy=${policy}
          bound=${answer.rule ? null : calibration?.duplicates?.max_descriptor_distance ?? 0} />`)}
      <${More} pages=${pages} />
    </section>`;
}
