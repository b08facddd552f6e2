// The pictures of a collection, newest first: look, choose many, edit, delete; and the collections themselves.

import { useDrops } from "../components/files.js";
import { FilterFields } from "../components/filter.js";
import { Icon } from "../components/icons.js";
import { ProblemNotice } from "../components/notices.js";
import { Card } from "../components/picture.js";
import * as api from "../core/api.js";
import { addUrl } from "../core/adding.js";
import { change } from "../core/address.js";
import { filterOf } from "../core/filter.js";
import { changes, service } from "../core/service.js";
import { useStore } from "../core/store.js";
import { count, nameOf, plural } from "../core/words.js";
import { html, useCallback, useState } from "../vendor/htm-preact.js";
import { AddButtons, addChosen, AddingProgress, EmptyCollection, RemoveSamples } from "./collection/adding.js";
import { CollectionsDialog } from "./collection/collections.js";
import { Details, deleteWithUndo } from "./collection/details.js";
import { Ghosts, Grid, More } from "./search/results.js";
import { useKept, usePages } from "./search/results-state.js";

const LIMIT = 48;

function useImages(collection, filter) {
  const { count: version } = useStore(changes);
  const fields = (cursor) => ({ collection, filter: filterOf(filter), limit: LIMIT, order: "newest", cursor });
  return usePages(
    `${collection} ${filter ?? ""}`,
    async (signal) => ({ answer: await api.images(fields(null), { signal }), query: null }),
    (cursor, signal) => api.images(fields(cursor), { signal }),
    version,
  );
}

function Chosen({ chosen, onDelete, onClear }) {
  if (!chosen.size) return null;
  return html`
    <div class="marked-bar" id="chosen" role="status">
      <span>${plural(chosen.size, "picture")} chosen</span>
      <span class="row">
        <button type="button" class="button danger" id="delete-chosen" onClick=${onDelete}><${Icon} name="trash" /> Delete</button>
        <button type="button" class="quiet" onClick=${onClear}>Clear</button>
      </span>
    </div>`;
}

function Cell({ item, isChosen, onToggle, onOpen }) {
  const name = nameOf(item);
  return html`
    <${Card} item=${item} label=${`Details of ${name}`} onChoose=${onOpen} mark=${isChosen ? "+" : null}>
      <label class="tool check"><input type="checkbox" checked=${isChosen} onChange=${onToggle} aria-label=${`Choose ${name}`} /></label>
    <//>`;
}

export function CollectionView({ place, collection }) {
  const { collections } = useStore(service);
  const pages = useImages(collection, place.filter);
  const [chosen, setChosen] = useState(new Set());
  const [shown, setShown] = useState(null);
  const [isManaging, setManaging] = useState(false);
  const isOver = useDrops(
    useCallback((files) => addChosen(files, collection), [collection]),
    useCallback((url) => addUrl(url, collection), [collection]),
  );
  const toggle = (id) => setChosen((now) => {
    const next = new Set(now);
    if (!next.delete(id)) next.add(id);
    return next;
  });
  const deleteChosen = () => {
    deleteWithUndo([...chosen], collection);
    setChosen(new Set());
  };
  const here = collections.find(({ name }) => name === collection);
  const items = useKept(pages, collection);
  const isEmpty = !items.length && !pages.isBusy && !place.filter;
  return html`
    <section class=${`collection-view ${isOver ? "over" : ""}`} aria-labelledby="title" aria-busy=${String(pages.isBusy)} id="answer">
      <div class="title-bar">
        <h1 id="title">${collection}</h1>
        <p class="soft-text" id="summary">${here && `${plural(here.images, "picture")} · model ${here.model}${here.description ? ` · ${here.description}` : ""}`}</p>
        <${RemoveSamples} collection=${collection} />
        <button type="button" class="quiet" id="manage" onClick=${() => setManaging(true)}>Collections (${count(collections.length)})</button>
      </div>
      ${!isEmpty && html`
        <details class="panel add-panel" id="add-panel">
          <summary><${Icon} name="upload" /> Add pictures</summary>
          <p class="soft-text">Drop files, folders or a zip anywhere on this page, paste, or choose.</p>
          <${AddButtons} collection=${collection} />
        </details>`}
      <${AddingProgress} />
      ${pages.problem && html`<${ProblemNotice} problem=${pages.problem} onRetry=${pages.again} />`}
      ${!isEmpty && html`<details class="panel" id="refine" open=${Boolean(place.filter)}><summary>Filter</summary>
        <${FilterFields} collection=${collection} filter=${place.filter} onChange=${(filter) => change({ filter })} /></details>`}
      ${isEmpty && !pages.problem && html`<${EmptyCollection} collection=${collection} />`}
      ${pages.isBusy && !items.length && html`<${Ghosts} />`}
      <${Grid}>
        ${items.map((item) => html`
          <${Cell} key=${item.id} item=${item} isChosen=${chosen.has(item.id)} onToggle=${() => toggle(item.id)}
            onOpen=${() => setShown(item.id)} />`)}
      <//>
      <${More} pages=${pages} />
      <${Chosen} chosen=${chosen} onDelete=${deleteChosen} onClear=${() => setChosen(new Set())} />
      ${shown && html`<${Details} id=${shown} collection=${collection} onClose=${() => setShown(null)} />`}
      ${isManaging && html`<${CollectionsDialog} collection=${collection} onClose=${() => setManaging(false)} />`}
    </section>`;
}
