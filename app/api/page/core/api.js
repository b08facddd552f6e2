// The service's HTTP interface as functions. Every refusal becomes a Problem.

import { parse, stringify } from "./json.js";
import { ROOT } from "./root.js";

const SESSION = "/session";

export class Problem extends Error {
  /** What problem+json said, or that nothing answered (status 0). */
  constructor(status, body = {}, retryAfter = null) {
    super(body.detail || (status ? `The service answered ${status}.` : "The service does not answer. Is it running, and is the network up?"));
    this.status = status;
    this.code = body.code || "";
    this.errors = body.errors || [];
    this.retryAfter = retryAfter;
  }
}

/** The fields that a problem names, each in a sentence. */
/** What is wrong with each field, as far as the problem's own sentence does not say it. */
export const fieldsOf = (problem) => (problem.errors || []).filter((error) => !problem.message.includes(error.detail))
  .map((error) => `${error.pointer}: ${error.detail}`);

export const given = (fields) =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== null && value !== undefined));

/** Called when the service asks for a key, as it does when a session ends while the page is open. */
let onKeyNeeded = () => {};

export const whenKeyNeeded = (listener) => { onKeyNeeded = listener; };

export async function call(path, options = {}) {
  let answer;
  try {
    answer = await fetch(ROOT + path.slice(1), options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0);
  }
  if (answer.ok) return answer.status === 204 ? null : parse(await answer.text());
  if (answer.status === 401 && path !== SESSION) onKeyNeeded();
  const wait = Number(answer.headers.get("Retry-After"));
  throw new Problem(answer.status, await answer.json().catch(() => ({})), wait > 0 ? wait : null);
}

const query = (fields) => {
  const texts = Object.entries(given(fields)).map(([name, value]) =>
    [name, typeof value === "object" ? stringify(value) : value]);
  return texts.length ? `?${new URLSearchParams(texts)}` : "";
};

export const get = (path, fields = {}, options = {}) => call(path + query(fields), options);

export const send = (method, path, body, options = {}) =>
  call(path, { method, headers: { "Content-Type": "application/json" }, body: stringify(body), ...options });

export const post = (path, body = {}, options = {}) => send("POST", path, given(body), options);

export function formOf(fields) {
  const form = new FormData();
  for (const [name, value] of Object.entries(given(fields))) {
    form.set(name, typeof value === "object" && !(value instanceof Blob) ? stringify(value) : value);
  }
  return form;
}

export const postForm = (path, fields, options = {}) =>
  call(path, { method: "POST", body: fields instanceof FormData ? fields : formOf(fields), ...options });

const image = (id) => `/images/${encodeURIComponent(id)}`;

const collection = (name) => `/collections/${encodeURIComponent(name)}`;

export const info = () => get("/info");

export const openSession = (key) => call(SESSION, { method: "POST", headers: { Authorization: `Bearer ${key}` } });

export const closeSession = () => call(SESSION, { method: "DELETE" });

export const collections = () => get("/collections", { limit: 1000 });

export const calibration = (name) => get(`${collection(name)}/calibration`);

export const metadataKeys = (name) => get(`${collection(name)}/metadata`);

export const distances = (name, fields, options) => get(`${collection(name)}/distances`, fields, options);

export const images = (fields, options) => get("/images", fields, options);

export const readImage = (id, name) => get(image(id), { collection: name });

export const patchImage = (id, name, revision, changes) =>
  call(`${image(id)}?${new URLSearchParams({ collection: name })}`, {
    method: "PATCH",
    headers: { "Content-Type": "application/json", ...(revision ? { "If-Match": `"${revision}"` } : {}) },
    body: stringify(changes),
  });

export const deleteImages = (body, options) => post("/images/delete", body, options);

/**
 * Search by what `query` holds: `file`, `url`, `id`, `text`, or `examples` ({id, sign}), also beside `text`.
 *
 * @param {object} query
 * @param {object} limits collection, limit, max_distance, filter, rank, diversify, colour, crop, orientations, regions
 * @param {AbortSignal} signal
 */
export function search(query, { crop, orientations, regions, ...limits }, signal) {
  const picture = { crop, orientations, regions };
  if (query.file) return postForm("/search", { file: query.file, ...limits, ...picture }, { signal });
  if (query.url) return post("/search", { url: query.url, ...limits, ...picture }, { signal });
  if (query.examples || query.text) {
    const images = query.examples?.map(({ id, sign }) => ({ image_id: id, sign })) ?? null;
    return post("/search", { images, text: query.text ?? null, include_self: images ? false : null, ...limits, rank: null, diversify: null, colour: null }, { signal });
  }
  return post("/search", { image_id: query.id, include_self: false, ...limits }, { signal });
}

export const nextPage = (cursor, signal) => post("/search", { cursor }, { signal });
