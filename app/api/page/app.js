// The page: one query at a time, its look-alikes, and pictures of the collection to begin with.

import * as api from "./api.js";
import { cropping } from "./crop.js";
import { numberOf } from "./json.js";

const byId = (id) => document.getElementById(id);
const found = byId("found");
const results = byId("results");
const desktop = window.matchMedia("(min-width: 801px)");

/** What is looked for: {file}, a {crop} of it, {id} of a stored picture, {duplicates}, or nothing: a list. */
let query = {};
let cursor = null;
/** Questions are numbered, so that the answer to one that was overtaken is thrown away. */
let question = 0;
/** What distances mean under the collection's model: words and their bounds, nearest first. */
let likeness = [];
let limits = { max_upload_bytes: Infinity };
/** Files asked with, by the number that their history entry holds: a file has no address to go back to. */
const askedFiles = [];

// ---- what is asked -----------------------------------------------------------------------------------------

/** Numbers and truth values are typed as text. */
function valueOf(text) {
  if (text === "true" || text === "false") return text === "true";
  return Number.isFinite(Number(text)) ? numberOf(text) : text;
}

function filterDocument() {
  const key = byId("filter-key").value.trim();
  const text = byId("filter-value").value.trim();
  const test = byId("filter-test").value;
  if (!key || !text) return null;
  if (test === "is") return { must: [{ key, match: valueOf(text) }] };
  if (test === "not") return { must_not: [{ key, match: valueOf(text) }] };
  return { must: [{ key, range: { [test]: valueOf(text) } }] };
}

function options() {
  const slider = byId("distance");
  return {
    collection: byId("collection").value || "default",
    limit: Number(byId("limit").value),
    max_distance: slider.value === slider.max ? null : Number(slider.value),
    filter: filterDocument(),
  };
}

const isSearch = () => Boolean(query.file || query.id);

function ask(after) {
  const wanted = options();
  if (query.duplicates) return api.duplicates({ ...wanted, cursor: after });
  if (!isSearch()) return api.images({ ...wanted, cursor: after });
  if (after) return api.nextPage(after);
  if (!query.file) return api.searchById(query.id, wanted);
  const orientations = byId("turned").checked ? 8 : null;
  return api.searchByFile(query.file, { ...wanted, orientations, crop: query.crop ?? null });
}

/** Ask, and show the answer in place of what is there, or after it. */
async function show({ more = false } = {}) {
  const mine = ++question;
  found.setAttribute("aria-busy", "true");
  byId("more").disabled = true;
  if (!more) byId("summary").textContent = isSearch() ? "Searching…" : "Loading…";
  try {
    const answer = await ask(more ? cursor : null);
    if (mine !== question) return;
    settle();
    render(answer, more);
  } catch (problem) {
    if (!(problem instanceof api.Problem)) throw problem;
    if (mine === question) report(problem);
  } finally {
    if (mine === question) {
      found.setAttribute("aria-busy", "false");
      byId("more").disabled = false;
    }
  }
}

// ---- what is shown -----------------------------------------------------------------------------------------

function settle() {
  byId("problem").hidden = true;
  byId("key-form").hidden = true;
}

function render(answer, more) {
  const cards = answer.items.map(query.duplicates ? group : card);
  if (more) results.append(...cards);
  else results.replaceChildren(...cards);
  // Who went on by keyboard stands at the first of the new pictures, not at a button that moved away.
  if (more && cards.length) results.children[results.children.length - cards.length].querySelector("button").focus();
  cursor = answer.next_cursor;
  byId("more").hidden = cursor === null;
  byId("title").textContent = title();
  byId("summary").textContent = summary(answer);
  if (answer.query) describeQuery(answer.query);
  showEmpty();
}

function title() {
  if (query.duplicates) return "Duplicates";
  return isSearch() ? "Look-alikes" : "Pictures to start with";
}

function summary(answer) {
  if (answer.index) return searchSummary(answer);
  if (!query.duplicates) return "Choose one, or bring your own.";
  const [images, groups] = [answer.images, answer.groups].map((count) => count.toLocaleString());
  return `${images} pictures in ${groups} groups, joined by pairs at most ${answer.max_distance} bits apart`;
}

function searchSummary({ index, took_ms: took, cutoff, items }) {
  const count = index.searched.toLocaleString();
  const stages = ["decode", "encode", "scan"].filter((name) => name in took);
  const split = stages.map((name) => `${name} ${took[name].toFixed(1)}`).join(", ");
  const parts = [`${count} searched by ${index.model} in ${took.total.toFixed(1)} ms${split ? ` (${split})` : ""}`];
  const ties = items.length && cutoff ? cutoff.total - cutoff.returned : 0;
  if (ties) parts.push(`${ties.toLocaleString()} more at distance ${cutoff.distance}`);
  if (index.coverage.pending) parts.push(`${index.coverage.pending.toLocaleString()} not indexed yet`);
  return parts.join(" · ");
}

function describeQuery({ bits, width, height }) {
  const slider = byId("distance");
  const isOpen = slider.value === slider.max;
  slider.max = bits;
  if (isOpen) slider.value = bits;
  showDistance();
  byId("asked-facts").textContent = [width && `${width} × ${height} pixels`, `${bits} bits`].filter(Boolean).join(" · ");
}

function showEmpty() {
  const empty = byId("empty");
  empty.hidden = results.children.length > 0;
  if (empty.hidden) return;
  if (query.duplicates) {
    empty.textContent = "No two pictures are that near. Move the distance up to look farther.";
    return;
  }
  const isNarrowed = filterDocument() !== null || options().max_distance !== null;
  empty.textContent = isNarrowed
    ? "Nothing is that close under this filter. Move the distance up, or clear the filter."
    : "This collection is empty. Add pictures with “lookalike index FOLDER” or POST /index.";
}

function card(item) {
  const node = byId("card").content.cloneNode(true);
  const part = (name) => node.querySelector(name);
  const name = String(item.metadata.title || (item.uri || item.id).split("/").pop());
  const facts = Object.entries(item.metadata).filter(([, value]) => typeof value !== "object");
  const tags = facts.filter(([key, value]) => key !== "title" && typeof value === "string");
  if (item.thumbnail_url) part("img").src = item.thumbnail_url;
  else part("img").remove();
  part(".name").textContent = name;
  part(".tags").textContent = tags.map(([, value]) => value).join(" · ");
  const button = part("button");
  button.dataset.id = item.id;
  button.title = [item.id, ...facts.map(([key, value]) => `${key}: ${value}`)].join("\n");
  if (item.score === undefined) {
    part(".match").remove();
    button.setAttribute("aria-label", `Find look-alikes of ${name}`);
  } else {
    const percent = Math.round(item.score * 100);
    part(".fill").style.width = `${percent}%`;
    part(".rank").textContent = `${item.rank}.`;
    part(".distance").textContent = `distance ${item.distance}`;
    part(".score").textContent = `${percent} %`;
    part(".badge").hidden = !item.exact;
    const match = `${item.exact ? "exact copy, " : ""}rank ${item.rank}, distance ${item.distance}, score ${percent} percent`;
    button.setAttribute("aria-label", `${name}: ${match}. Find its look-alikes`);
  }
  button.addEventListener("click", () => look({ id: item.id, name, picture: item.thumbnail_url }));
  return node;
}

/** Pictures that are nearly the same, the oldest first. */
function group(item) {
  const node = byId("group").content.cloneNode(true);
  const shown = item.images.length;
  const rest = item.size > shown ? `, the first ${shown} of them shown` : "";
  node.querySelector("h2").textContent = `${item.size.toLocaleString()} pictures${rest}`;
  node.querySelector("ol").append(...item.images.map(member));
  return node;
}

function member(image, position) {
  const node = card(image);
  const part = (name) => node.querySelector(name);
  part(".badge").textContent = "same file";
  part(".badge").hidden = position === 0 || !image.exact;
  const apart = position === 0 ? "oldest" : `distance ${image.distance}`;
  part(".tags").textContent = `${apart} · ${image.width} × ${image.height}`;
  part("button").setAttribute("aria-label", `${part("button").getAttribute("aria-label")}, ${apart}`);
  return node;
}

function report(problem) {
  byId("summary").textContent = "";
  byId("more").hidden = true;
  byId("empty").hidden = true;
  results.replaceChildren();
  if (problem.status === 401) {
    byId("problem").hidden = true;
    byId("key-form").hidden = false;
    byId("key").focus();
    return;
  }
  const details = problem.errors.map((error) => `${error.pointer}: ${error.detail}`);
  byId("problem-title").textContent = problem.title;
  byId("problem-detail").textContent = [problem.message, ...details].join(" ");
  byId("problem").hidden = false;
  byId("retry").hidden = problem.status > 0 && problem.status < 500 && problem.status !== 429;
  // A service that is only starting or busy says when to come back.
  if (problem.retryAfter) {
    const asked = question;
    setTimeout(() => asked === question && start(), problem.retryAfter * 1000);
  }
}

function showQuery() {
  const image = byId("preview");
  if (image.src.startsWith("blob:")) URL.revokeObjectURL(image.src);
  byId("asked").hidden = !isSearch();
  byId("duplicates").toggleAttribute("aria-current", Boolean(query.duplicates));
  byId("turned-choice").hidden = !query.file;
  showCrop();
  byId("invitation").hidden = isSearch();
  if (!isSearch()) return;
  image.hidden = false;
  image.src = query.file ? URL.createObjectURL(query.file) : query.picture || "";
  byId("asked-name").textContent = query.name;
  byId("asked-facts").textContent = "";
}

function showCrop() {
  const crop = byId("crop");
  crop.hidden = !query.file;
  crop.textContent = query.crop ? "Whole picture" : "Choose a part";
  crop.setAttribute("aria-pressed", "false");
  cropper.choose(false);
  cropper.show(query.crop ?? null);
  byId("frame").classList.toggle("cropped", Boolean(query.crop));
}

/** Let a part of the picture be dragged over, or go back to all of it. */
function turnCrop() {
  if (query.crop) {
    look({ file: query.file, name: query.name });
    return;
  }
  const isOn = byId("frame").classList.contains("choosing");
  cropper.choose(!isOn);
  byId("crop").setAttribute("aria-pressed", String(!isOn));
  byId("asked-facts").textContent = isOn ? "" : "Drag over the part to look for.";
}

function showDistance() {
  const slider = byId("distance");
  const open = query.duplicates ? "copies" : "any distance";
  const word = likeness.find((bound) => Number(slider.value) <= bound.max_distance)?.likeness;
  const meant = word ? ` · ${word}` : "";
  const text = slider.value === slider.max ? open : `distance ${slider.value} of ${slider.max}${meant}`;
  byId("distance-shown").textContent = text;
  slider.setAttribute("aria-valuetext", text);
}

// ---- moving between queries --------------------------------------------------------------------------------

/** Look for something else, and remember it so that Back returns. */
function look(next) {
  const collection = options().collection;
  const parameters = new URLSearchParams();
  if (next.id) parameters.set("like", next.id);
  if (next.duplicates) parameters.set("duplicates", "");
  if (collection !== "default") parameters.set("collection", collection);
  const state = next.file
    ? { file: askedFiles.push(next.file) - 1, crop: next.crop }
    : { id: next.id, name: next.name, picture: next.picture };
  history.pushState(state, "", parameters.size ? `/?${parameters}` : "/");
  return turnTo(next);
}

function turnTo(next) {
  query = next;
  showDistance();
  showQuery();
  window.scrollTo({ top: 0 });
  return show();
}

function lookFor(file) {
  if (!file) return;
  if (file.size > limits.max_upload_bytes) {
    const most = Math.floor(limits.max_upload_bytes / 1e6);
    report(new api.Problem(413, { title: "Too large", detail: `The service takes pictures of up to ${most} MB.` }));
    return;
  }
  look({ file, name: file.name });
}

/** The query that an address and its history entry stand for. */
async function restore(state) {
  const address = new URLSearchParams(location.search);
  if (state?.file !== undefined && askedFiles[state.file]) {
    const file = askedFiles[state.file];
    return { file, name: file.name, crop: state.crop };
  }
  if (address.has("duplicates")) return { duplicates: true };
  const id = address.get("like");
  if (!id) return {};
  if (state?.id === id) return { id, name: state.name, picture: state.picture };
  const stored = await api.image(id, options().collection);
  return { id, name: (stored.uri || id).split("/").pop(), picture: stored.thumbnail_url };
}

async function loadCollections() {
  const { items } = await api.collections();
  const chosen = byId("collection");
  const wanted = chosen.value || new URLSearchParams(location.search).get("collection") || "default";
  chosen.replaceChildren(...items.map((c) => new Option(`${c.name} (${c.images.toLocaleString()})`, c.name)));
  chosen.value = items.some((c) => c.name === wanted) ? wanted : (items[0]?.name ?? "");
}

/** Offer the keys and values that pictures of the collection have. */
async function suggestFilters() {
  const { items } = await api.images({ collection: options().collection, limit: 200 });
  const values = new Map();
  for (const [key, value] of items.flatMap((item) => Object.entries(item.metadata))) {
    if (typeof value === "object") continue;
    if (!values.has(key)) values.set(key, new Set());
    values.get(key).add(String(value));
  }
  const fill = (id, texts) => byId(id).replaceChildren(...[...texts].sort().map((text) => new Option(text)));
  const offerValues = () => fill("filter-values", values.get(byId("filter-key").value.trim()) ?? []);
  fill("filter-keys", values.keys());
  byId("filter-key").oninput = offerValues;
  offerValues();
}

/** What distances mean here; the slider ends at the code length. */
async function learnDistances() {
  const { bits, likeness: words } = await api.calibration(options().collection);
  likeness = words;
  const slider = byId("distance");
  const isOpen = slider.value === slider.max;
  slider.max = bits;
  if (isOpen) slider.value = bits;
  showDistance();
}

async function start() {
  found.setAttribute("aria-busy", "true");
  try {
    const service = await api.info();
    limits = service.limits;
    byId("running").textContent = `${service.images.toLocaleString()} pictures · version ${service.version}`;
    byId("sign-out").hidden = !service.keys_required;
    await loadCollections();
    await Promise.all([suggestFilters(), learnDistances()]);
    query = await restore(history.state);
  } catch (problem) {
    if (!(problem instanceof api.Problem)) throw problem;
    found.setAttribute("aria-busy", "false");
    report(problem);
    return;
  }
  showQuery();
  await show();
}

const cropper = cropping(byId("frame"), byId("selection"), (crop) => {
  look({ file: query.file, name: query.name, crop });
});

// ---- hands -------------------------------------------------------------------------------------------------

byId("file").addEventListener("change", (event) => {
  lookFor(event.target.files[0]);
  // The same file chosen again is a change too.
  event.target.value = "";
});
byId("clear").addEventListener("click", () => {
  look({});
  byId("file").focus();
});
byId("home").addEventListener("click", (event) => {
  event.preventDefault();
  look({});
});
byId("duplicates").addEventListener("click", (event) => {
  event.preventDefault();
  look({ duplicates: true });
});
byId("crop").addEventListener("click", turnCrop);
byId("skip").addEventListener("click", (event) => {
  // Following the fragment would make a history entry of its own, without the query.
  event.preventDefault();
  found.focus();
});
byId("preview").addEventListener("error", () => { byId("preview").hidden = true; });

document.addEventListener("dragover", (event) => {
  event.preventDefault();
  byId("drop").classList.add("over");
});
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) byId("drop").classList.remove("over");
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  byId("drop").classList.remove("over");
  lookFor(event.dataTransfer.files[0]);
});
document.addEventListener("paste", (event) => {
  lookFor([...event.clipboardData.files].find((file) => file.type.startsWith("image/")));
});

byId("options").addEventListener("submit", (event) => event.preventDefault());
byId("options").addEventListener("change", (event) => {
  if (event.target === byId("collection")) {
    // An id names a picture of one collection; a file can be looked for in any.
    look(query.file || query.duplicates ? query : {});
    Promise.all([suggestFilters(), learnDistances()]).catch(report);
  } else if (!isFilterInTheMaking(event.target)) {
    show();
  }
});
byId("distance").addEventListener("input", showDistance);
byId("more").addEventListener("click", () => show({ more: true }));
byId("retry").addEventListener("click", start);

/** A key without a value filters nothing yet. */
function isFilterInTheMaking(target) {
  return target.name.startsWith("filter-") && target !== byId("filter-value") && !byId("filter-value").value.trim();
}

byId("key-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  byId("key-problem").textContent = "";
  try {
    await api.openSession(byId("key").value.trim());
  } catch (problem) {
    byId("key-problem").textContent = problem.message;
    return;
  }
  byId("key").value = "";
  byId("key-form").hidden = true;
  await start();
});
byId("sign-out").addEventListener("click", async () => {
  await api.closeSession();
  location.assign("/");
});

window.addEventListener("popstate", async (event) => {
  const wanted = new URLSearchParams(location.search).get("collection") || "default";
  if (wanted !== byId("collection").value) byId("collection").value = wanted;
  try {
    await turnTo(await restore(event.state));
  } catch (problem) {
    report(problem);
  }
});

const openOnDesktop = () => { byId("refine").open = desktop.matches; };
desktop.addEventListener("change", openOnDesktop);
openOnDesktop();
start();
