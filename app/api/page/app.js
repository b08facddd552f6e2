// The page: one query at a time, its look-alikes, and pictures of the collection to begin with.

const byId = (id) => document.getElementById(id);
const results = byId("results");

/** What is asked now: a file, the id of a stored picture, or nothing (then the collection is shown). */
let query = { file: null, imageId: null };
let cursor = null;
/** Answers to questions that were overtaken by a later one are thrown away. */
let asked = 0;

class Problem extends Error {
  constructor(status, body) {
    super(body.detail || "The service did not answer.");
    this.status = status;
    this.errors = body.errors || [];
  }
}

async function call(path, options) {
  let answer;
  try {
    answer = await fetch(path, options);
  } catch {
    throw new Problem(0, { detail: "The service does not answer." });
  }
  if (!answer.ok) throw new Problem(answer.status, await answer.json().catch(() => ({})));
  return answer.status === 204 ? null : answer.json();
}

const post = (path, body) =>
  call(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });

function filterDocument() {
  const key = byId("filter-key").value.trim();
  const text = byId("filter-value").value.trim();
  if (!key || !text) return null;
  return { must: [{ key, match: valueOf(text) }] };
}

/** Numbers and truth values are typed as text. */
function valueOf(text) {
  if (text === "true" || text === "false") return text === "true";
  return text !== "" && Number.isFinite(Number(text)) ? Number(text) : text;
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

function searchByFile(file, asked) {
  const form = new FormData();
  form.set("file", file);
  for (const [name, value] of Object.entries(asked)) {
    if (value !== null) form.set(name, name === "filter" ? JSON.stringify(value) : value);
  }
  return call("/search", { method: "POST", body: form });
}

function listCollection(asked, after) {
  const parameters = new URLSearchParams({ collection: asked.collection, limit: asked.limit });
  if (asked.filter) parameters.set("filter", JSON.stringify(asked.filter));
  if (after) parameters.set("cursor", after);
  return call(`/images?${parameters}`);
}

const isSearch = () => query.file !== null || query.imageId !== null;

function ask(after) {
  const wanted = options();
  if (!isSearch()) return listCollection(wanted, after);
  if (after) return post("/search", { cursor: after });
  if (query.file) return searchByFile(query.file, wanted);
  const given = Object.fromEntries(Object.entries(wanted).filter(([, value]) => value !== null));
  return post("/search", { image_id: query.imageId, ...given });
}

async function show({ more = false } = {}) {
  const mine = ++asked;
  byId("found").setAttribute("aria-busy", "true");
  try {
    const answer = await ask(more ? cursor : null);
    if (mine !== asked) return;
    byId("problem").hidden = true;
    byId("key-form").hidden = true;
    if (!more) results.replaceChildren();
    for (const item of answer.items) results.append(card(item));
    cursor = answer.next_cursor;
    byId("more").hidden = cursor === null;
    byId("empty").hidden = results.children.length > 0;
    describe(answer);
  } catch (problem) {
    if (mine !== asked) return;
    report(problem);
  } finally {
    if (mine === asked) byId("found").setAttribute("aria-busy", "false");
  }
}

function describe(answer) {
  byId("title").textContent = isSearch() ? "Look-alikes" : "Your collection";
  if (!answer.index) {
    byId("summary").textContent = "Drop a picture, or choose one of these.";
    return;
  }
  const { searched, model } = answer.index;
  const slider = byId("distance");
  const atEnd = slider.value === slider.max;
  slider.max = answer.query.bits;
  if (atEnd) slider.value = slider.max;
  const took = answer.took_ms.total.toFixed(1);
  byId("summary").textContent = `${searched.toLocaleString()} pictures searched in ${took} ms · ${model}`;
}

function card(item) {
  const node = byId("card").content.cloneNode(true);
  const button = node.querySelector("button");
  const image = node.querySelector("img");
  const name = item.metadata.title || (item.uri || item.id).split("/").pop();
  if (item.thumbnail_url) image.src = item.thumbnail_url;
  else image.remove();
  node.querySelector(".name").textContent = name;
  button.dataset.id = item.id;
  button.title = Object.entries(item.metadata).map(([key, value]) => `${key}: ${value}`).join("\n");
  if (item.distance === undefined) {
    node.querySelector(".meter").remove();
    node.querySelector(".facts").remove();
    button.setAttribute("aria-label", `Find look-alikes of ${name}`);
  } else {
    const percent = Math.round(item.score * 100);
    node.querySelector(".fill").style.width = `${percent}%`;
    node.querySelector(".distance").textContent = `distance ${item.distance}`;
    node.querySelector(".score").textContent = `${percent} %`;
    button.setAttribute("aria-label", `${name}, distance ${item.distance}; find its look-alikes`);
    if (item.exact) {
      const badge = document.createElement("span");
      badge.className = "badge";
      badge.textContent = "exact copy";
      node.querySelector(".frame").append(badge);
    }
  }
  button.addEventListener("click", () => searchLike(item));
  return node;
}

function report(problem) {
  byId("more").hidden = true;
  if (problem.status === 401) {
    byId("key-form").hidden = false;
    byId("key").focus();
    return;
  }
  const details = problem.errors.map((error) => `${error.pointer}: ${error.detail}`);
  byId("problem").textContent = [problem.message, ...details].join(" ");
  byId("problem").hidden = false;
  results.replaceChildren();
  byId("summary").textContent = "";
}

function preview(address) {
  const image = byId("preview");
  if (image.src.startsWith("blob:")) URL.revokeObjectURL(image.src);
  image.hidden = !address;
  if (address) image.src = address;
  byId("invitation").hidden = Boolean(address);
  byId("drop").classList.toggle("full", Boolean(address));
}

function searchFile(file) {
  if (!file) return;
  query = { file, imageId: null };
  preview(URL.createObjectURL(file));
  show();
}

function searchLike(item) {
  query = { file: null, imageId: item.id };
  preview(item.thumbnail_url);
  window.scrollTo({ top: 0 });
  show();
}

async function loadCollections() {
  const { items } = await call("/collections?limit=1000");
  const chosen = byId("collection");
  const before = chosen.value;
  chosen.replaceChildren(...items.map((c) => new Option(`${c.name} (${c.images.toLocaleString()})`, c.name)));
  chosen.value = before && items.some((c) => c.name === before) ? before : "default";
}

async function suggestKeys() {
  const { items } = await call(`/images?limit=20&collection=${encodeURIComponent(byId("collection").value)}`);
  const keys = new Set(items.flatMap((item) => Object.keys(item.metadata)));
  byId("filter-keys").replaceChildren(...[...keys].map((key) => new Option(key)));
}

async function start() {
  try {
    await loadCollections();
    await suggestKeys();
  } catch (problem) {
    report(problem);
    return;
  }
  await show();
}

byId("file").addEventListener("change", (event) => {
  searchFile(event.target.files[0]);
  // The same file chosen again is a change too.
  event.target.value = "";
});
byId("drop").addEventListener("keydown", (event) => {
  if (event.key === "Enter" || event.key === " ") { event.preventDefault(); byId("file").click(); }
});
for (const kind of ["dragover", "dragenter"]) {
  document.addEventListener(kind, (event) => { event.preventDefault(); byId("drop").classList.add("over"); });
}
for (const kind of ["dragleave", "drop"]) {
  document.addEventListener(kind, () => byId("drop").classList.remove("over"));
}
document.addEventListener("drop", (event) => {
  event.preventDefault();
  searchFile(event.dataTransfer.files[0]);
});
document.addEventListener("paste", (event) => {
  searchFile([...event.clipboardData.files].find((file) => file.type.startsWith("image/")));
});
byId("options").addEventListener("submit", (event) => event.preventDefault());
byId("options").addEventListener("change", () => show());
byId("collection").addEventListener("change", () => {
  query = { file: query.file, imageId: null };
  if (!query.file) preview(null);
  suggestKeys().catch(report);
});
byId("distance").addEventListener("input", (event) => {
  const { value, max } = event.target;
  byId("distance-shown").textContent = value === max ? "any distance" : `distance ${value}`;
});
byId("more").addEventListener("click", () => show({ more: true }));
byId("key-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  try {
    await call("/session", { method: "POST", headers: { "X-API-Key": byId("key").value } });
    byId("key").value = "";
    byId("key-form").hidden = true;
    await start();
  } catch (problem) {
    report(problem);
  }
});

start();
