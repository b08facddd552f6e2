// Search: one query at a time and its look-alikes; the newest pictures to begin with.

import { isArchive, useDrops } from "../components/files.js";
import { Notice, ProblemNotice } from "../components/notices.js";
import { Card } from "../components/picture.js";
import * as api from "../core/api.js";
import { go } from "../core/address.js";
import { bitsOf, calibrationOf, changes, known, may, service } from "../core/service.js";
import { useStore } from "../core/store.js";
import * as uploads from "../core/uploads.js";
import { bytes } from "../core/words.js";
import { addChosen, AddingProgress, EmptyCollection, RemoveSamples } from "./collection/adding.js";
import { Details } from "./collection/details.js";
import { html, useCallback, useEffect, useState } from "../vendor/htm-preact.js";
import { Ask } from "./search/ask.js";
import { CompareDialog } from "./search/compare.js";
import { CodeDialog } from "./search/code.js";
import { isSearch, limitsOf, queryOf } from "./search/query.js";
import { Ghosts, Grid, More, Results, stagesOf, summaryOf } from "./search/results.js";
import { useKept, usePages } from "./search/results-state.js";

/** What distances mean here: undefined until it is known, null where it cannot be. */
export function useCalibration(collection) {
  const [calibration, setCalibration] = useState(undefined);
  useEffect(() => {
    let isWanted = true;
    setCalibration(undefined);
    calibrationOf(collection).then((found) => isWanted && setCalibration(found), () => isWanted && setCalibration(null));
    return () => { isWanted = false; };
  }, [collection]);
  return calibration;
}

/** How far the pictures of the collection are from the query. */
function useDistances(answer, place, collection) {
  const [distances, setDistances] = useState(null);
  const code = answer?.query?.text ? null : answer?.query?.code;
  const model = answer?.index?.model;
  useEffect(() => {
    if (!code) {
      setDistances(null);
      return undefined;
    }
    const stop = new AbortController();
    api.distances(collection, { code, model, filter: place.filter || null }, { signal: stop.signal }).then(setDistances, () => {});
    return () => stop.abort();
  }, [code, model, place.filter, collection]);
  return distances;
}

const QUESTION = ["collection", "like", "upload", "url", "text", "plus", "minus", "crop", "max", "filter", "rank", "turned", "parts", "varied", "colour"];

function usePlacePages(place, collection) {
  const isAsked = isSearch(place);
  const { count } = useStore(changes);
  const key = JSON.stringify(QUESTION.map((field) => place[field] ?? null));
  const listing = (cursor) => ({
    ...(({ filter }) => ({ collection, filter, limit: 24 }))(limitsOf(place)), order: "newest", cursor,
  });
  const ask = async (signal) => {
    if (!isAsked && !may("read")) throw new api.Problem(403);
    if (!isAsked) return { answer: await api.images(listing(null), { signal }), query: null };
    const [query] = await Promise.all([queryOf(place), known(collection)]);
    return { answer: await api.search(query, limitsOf(place), signal), query };
  };
  const goOn = (cursor, signal) => (isAsked ? api.nextPage(cursor, signal) : api.images(listing(cursor), { signal }));
  return usePages(key, ask, goOn, isAsked ? null : count);
}

function factsOf(query, answer) {
  if (!answer?.query) return "";
  const { width, height } = answer.query;
  return [width && `${width} × ${height} pixels`, query.file && bytes(query.file.size)].filter(Boolean).join(" · ");
}

function Marked({ marks, onSearch, onClear }) {
  if (!marks.size) return null;
  const of = (sign) => [...marks.values()].filter((one) => one === sign).length;
  return html`
    <div class="marked-bar" id="marked" role="status">
      <span>${of("+")} wanted, ${of("-")} unwanted</span>
      <span class="row">
        <button type="button" class="button" id="search-marked" onClick=${onSearch}>Search by these</button>
        <button type="button" class="quiet" onClick=${onClear}>Clear</button>
      </span>
    </div>`;
}

function useMarks(place, collection) {
  const [marks, setMarks] = useState(new Map());
  const mark = (id, sign) => setMarks((now) => {
    const next = new Map(now);
    if (next.get(id) === sign) next.delete(id);
    else next.set(id, sign);
    return next;
  });
  const clear = () => setMarks(new Map());
  const search = () => {
    // Words stay: pictures like the marked ones that show what they name.
    const all = new Map([...(place.like ? [[place.like, "+"]] : []), ...idsOf(place), ...marks]);
    const of = (sign) => [...all].filter(([, one]) => one === sign).map(([id]) => id).join(",");
    clear();
    go({ collection, text: place.text, plus: of("+"), minus: of("-"), filter: place.filter });
  };
  return { marks, mark, clear, search };
}

const idsOf = ({ plus, minus }) =>
  [...(plus || "").split(",").map((id) => [id, "+"]), ...(minus || "").split(",").map((id) => [id, "-"])].filter(([id]) => id);

function Newest({ pages, collection, isFiltered }) {
  if (!pages.items.length) {
    return isFiltered
      ? html`<div class="notice" id="empty"><p>No picture passes this filter.</p></div>`
      : html`<${EmptyCollection} collection=${collection} />`;
  }
  return html`
    <${Grid}>
      ${pages.items.map((item) => html`
        <${Card} key=${item.id} item=${item} onChoose=${() => go({ collection, like: item.id })} />`)}
    <//>
    <${More} pages=${pages} />`;
}

export function SearchView({ place, collection }) {
  const isAsked = isSearch(place);
  const { info, collections } = useStore(service);
  const isEmpty = collections.find(({ name }) => name === collection)?.images === 0;
  const asked = usePlacePages(place, collection);
  const pages = { ...asked, items: useKept(asked, collection) };
  const calibration = useCalibration(collection);
  const distances = useDistances(pages.answer, place, collection);
  const [shown, setShown] = useState(null);
  const [region, setRegion] = useState(null);
  useEffect(() => setRegion(null), [pages.key]);
  const { marks, mark, clear, search } = useMarks(place, collection);
  const [problem, setProblem] = useState(null);
  useEffect(() => setProblem(null), [pages.key]);
  const onFile = useCallback(async ([{ file }]) => {
    const most = info?.limits.max_upload_bytes ?? Infinity;
    if (file.size > most) {
      setProblem(new api.Problem(413, { detail: `The service takes pictures of up to ${bytes(most)}.` }));
      return;
    }
    go({ collection, upload: await uploads.keep(file) });
  }, [collection, info]);
  const onFiles = useCallback((files) => {
    const isOne = !isEmpty && files.length === 1 && !isArchive(files[0].file) && !files[0].path.includes("/");
    if (isOne) onFile(files);
    else {
      addChosen(files, collection);
      go({ view: "collection", collection });
    }
  }, [collection, onFile, isEmpty]);
  const onAddress = useCallback((url) => go({ collection, url }), [collection]);
  const isOver = useDrops(onFiles, onAddress);
  const query = isAsked ? pages.query ?? { name: "", picture: null, text: place.text } : null;
  const actions = {
    choose: (hit) => go({ collection, like: hit.id, filter: place.filter, max: place.max }),
    mark,
    point: (found) => {
      setRegion(found);
      // The side scrolls on its own where it is beside the results.
      document.getElementById("frame")?.closest(".ask").scrollTo({ top: 0, behavior: "smooth" });
    },
    details: (hit) => setShown({ kind: "details", hit }),
    compare: query?.file || query?.id ? (hit) => setShown({ kind: "compare", hit }) : null,
  };
  const close = () => setShown(null);
  const failed = problem ?? pages.problem;
  const isListRefused = !isAsked && failed?.status === 403;
  const isThere = pages.answer && Boolean(pages.answer.index) === isAsked && (!isAsked || calibration !== undefined);
  return html`
    <div class="search-view">
      <${Ask} place=${place} collection=${collection} query=${query} meanings=${pages.answer?.query?.understood_as ?? []} facts=${query && factsOf(query, pages.answer)}
        bits=${pages.answer?.query?.bits ?? bitsOf(collection)} distances=${distances} calibration=${calibration}
        region=${region ?? pages.items[0]?.region} isOver=${isOver} onFile=${onFile} />
      <section class="found" aria-labelledby="title" aria-busy=${String(pages.isBusy)} id="answer" data-shows=${pages.shows}>
        <div class="title-bar">
          <h1 id="title">${isAsked ? place.text ? "Found by words" : "Look-alikes" : isListRefused ? "Search" : "Newest pictures"}</h1>
          <p id="summary" class="soft-text" role="status" title=${pages.answer?.index ? stagesOf(pages.answer) : null}>
            ${isAsked && !failed && (isThere ? summaryOf(pages.answer, pages.items) : "Searching…")}
          </p>
          ${!isAsked && html`<${RemoveSamples} collection=${collection} />`}
          ${isAsked && !failed && html`<button type="button" class="quiet" id="use-code" onClick=${() => setShown({ kind: "code" })}>Use from code</button>`}
        </div>
        <${AddingProgress} />
        ${isListRefused && html`
          <${Notice} id="searches-only" title="Your key allows only searches"><p>Choose a picture, or type words, an id or an address.</p><//>`}
        ${failed && !isListRefused && html`<${ProblemNotice} problem=${failed} onRetry=${pages.again} />`}
        ${!failed && !isThere && html`<${Ghosts} />`}
        ${!failed && isThere && (isAsked
          ? html`<${Results} key=${pages.key} pages=${pages} calibration=${calibration} place=${place} marks=${marks} actions=${actions} />`
          : html`<${Newest} pages=${pages} collection=${collection} isFiltered=${Boolean(place.filter)} />`)}
      </section>
      <${Marked} marks=${marks} onSearch=${search} onClear=${clear} />
      ${shown?.kind === "details" && html`<${Details} id=${shown.hit.id} collection=${collection} onClose=${close} />`}
      ${shown?.kind === "compare" && html`<${CompareDialog} query=${query} hit=${shown.hit} collection=${collection} onClose=${close} />`}
      ${shown?.kind === "code" && html`<${CodeDialog} place=${place} query=${query} needsKey=${info.keys_required}
        onClose=${close} />`}
    </div>`;
}
