// The frame of the page: navigation, the state of the service, and the view that the address names.

import { Icon } from "./components/icons.js";
import { KeyForm } from "./components/key-form.js";
import { Bar, ProblemNotice } from "./components/notices.js";
import { say, Toasts } from "./components/toasts.js";
import { closeSession, Problem } from "./core/api.js";
import { address, change, follow, hrefOf } from "./core/address.js";
import { ROOT } from "./core/root.js";
import { isPassing, may, refresh, service } from "./core/service.js";
import { useStore } from "./core/store.js";
import { count } from "./core/words.js";
import { html, useEffect, useState } from "./vendor/htm-preact.js";
import { SearchView } from "./views/search.js";

/** Views, each with its name and the scope that its calls need. */
const PLACES = [
  ["search", "Search", "search"],
  ["collection", "Collection", "read"],
  ["duplicates", "Duplicates", "read"],
  ["jobs", "Jobs", "read"],
  ["models", "Models", "read"],
  ["system", "System", "admin"],
];

// Of the views, only the first is needed at once.
const LATER = {
  collection: () => import("./views/collection.js").then((module) => module.CollectionView),
  duplicates: () => import("./views/duplicates.js").then((module) => module.DuplicatesView),
  jobs: () => import("./views/jobs.js").then((module) => module.JobsView),
  models: () => import("./views/models.js").then((module) => module.ModelsView),
  system: () => import("./views/system.js").then((module) => module.SystemView),
};

function useView(name) {
  const [views, setViews] = useState({ search: SearchView });
  const [missing, setMissing] = useState(null);
  const load = () => {
    setMissing(null);
    if (!views[name]) {
      LATER[name]().then((view) => setViews((known) => ({ ...known, [name]: view })), () => setMissing(name));
    }
  };
  useEffect(load, [name]);
  return { View: views[name], isMissing: missing === name, load };
}

/** A browser leaves the page for a file that is dropped where no view takes it. */
function useNoStrayDrops() {
  useEffect(() => {
    const refuse = (event) => {
      if (event.dataTransfer?.types.includes("Files")) event.preventDefault();
    };
    for (const name of ["dragover", "drop"]) document.addEventListener(name, refuse);
    return () => {
      for (const name of ["dragover", "drop"]) document.removeEventListener(name, refuse);
    };
  }, []);
}

/** Forget the key; also where it opens nothing and another is to be given. */
async function signOut() {
  try {
    await closeSession();
  } catch (problem) {
    say(problem.message, "bad");
    return;
  }
  location.assign(ROOT);
}

function CollectionPicker({ collections, chosen }) {
  if (!collections.length) return null;
  const pick = (event) => change({ collection: event.target.value, like: null, plus: null, minus: null });
  return html`
    <select id="collection" aria-label="Collection" value=${chosen} onChange=${pick}>
      ${collections.map((one) => html`
        <option value=${one.name} key=${one.name} selected=${one.name === chosen}>${one.name} (${count(one.images)})</option>`)}
    </select>`;
}

function Head({ view, collection }) {
  const { info, collections, problem } = useStore(service);
  const home = { collection };
  return html`
    <header class="head">
      <a class="brand" id="home" href=${hrefOf(home)} onClick=${(event) => follow(event, home)}>
        <img src=${`${ROOT}page/icon.svg`} alt="" width="28" height="28" /> Lookalike
      </a>
      <nav class="places" aria-label="Views">
        ${PLACES.filter(([, , scope]) => !info || may(scope)).map(([name, label]) => html`
          <a key=${name} id=${`to-${name}`} href=${hrefOf({ view: name, collection })}
            aria-current=${view === name ? "page" : null}
            onClick=${(event) => follow(event, { view: name, collection })}>
            <${Icon} name=${name} /><span>${label}</span>
          </a>`)}
      </nav>
      <div class="aside">
        <${CollectionPicker} collections=${collections} chosen=${collection} />
        ${(info?.keys_required || problem?.status === 403) && html`
          <button type="button" id="sign-out" class="quiet" onClick=${signOut}>
            Sign out
          </button>`}
        <a class="quiet" href=${`${ROOT}docs`}>API</a>
      </div>
    </header>`;
}

/** What a service that has just been started is doing; nothing is wrong then. */
function Starting({ starting }) {
  if (!starting) return null;
  const share = starting.total ? starting.done / starting.total : undefined;
  const text = starting.phase === "samples"
    ? `Preparing… sample gallery ${starting.done} of ${starting.total}`
    : "Preparing… loading the index";
  return html`<div class="starting" id="starting" role="status"><span>${text}</span><${Bar} value=${share} label=${text} /></div>`;
}

export function Shell() {
  const place = useStore(address);
  const { info, problem, needsKey } = useStore(service);
  const collection = place.collection || "default";
  const { View, isMissing, load } = useView(place.view);
  useNoStrayDrops();
  useEffect(() => {
    const label = PLACES.find(([name]) => name === place.view)[1];
    document.title = place.view === "search" ? "Lookalike" : `${label} · Lookalike`;
  }, [place.view]);
  const skip = (event) => {
    // Following the fragment would make a history entry of its own, without the query.
    event.preventDefault();
    document.getElementById("found").focus();
  };
  const starting = info?.starting ?? (problem?.status === 503 ? { phase: "loading" } : null);
  const isReady = info && info.starting?.phase !== "loading";
  return html`
    <a class="skip" id="skip" href="#found" onClick=${skip}>Skip to the pictures</a>
    <${Head} view=${place.view} collection=${collection} />
    <${Starting} starting=${starting} />
    <main id="found" tabindex="-1">
      ${needsKey && html`<${KeyForm} />`}
      ${!needsKey && problem && !(info && isPassing(problem)) && problem.status !== 503 && html`<${ProblemNotice} problem=${problem} onRetry=${refresh} />`}
      ${!needsKey && isMissing && html`<${ProblemNotice} problem=${new Problem(0)} onRetry=${load} />`}
      ${!needsKey && isReady && View && html`<${View} place=${place} collection=${collection} key=${`${place.view} ${collection}`} />`}
    </main>
    <${Toasts} />`;
}
