// The service's addresses as functions; every refusal becomes a Problem.

import { parse, stringify } from "./json.js";

export class Problem extends Error {
  /** What problem+json said, or that nothing answered (status 0). */
  constructor(status, body, retryAfter = null) {
    super(body.detail || "Is it running, and is the network up?");
    this.status = status;
    this.title = body.title || (status ? `The service answered ${status}` : "The service does not answer");
    this.code = body.code || "";
    this.errors = body.errors || [];
    this.retryAfter = retryAfter;
  }
}

async function call(path, options) {
  let answer;
  try {
    answer = await fetch(path, options);
  } catch {
    throw new Problem(0, {});
  }
  if (answer.ok) return answer.status === 204 ? null : parse(await answer.text());
  const wait = Number(answer.headers.get("Retry-After"));
  throw new Problem(answer.status, await answer.json().catch(() => ({})), wait > 0 ? wait : null);
}

const given = (fields) => Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== null));

const searchJson = (body) =>
  call("/search", { method: "POST", headers: { "Content-Type": "application/json" }, body: stringify(given(body)) });

export const info = () => call("/info");

export const collections = () => call("/collections?limit=1000");

export const image = (id, collection) =>
  call(`/images/${encodeURIComponent(id)}?collection=${encodeURIComponent(collection)}`);

export const openSession = (key) => call("/session", { method: "POST", headers: { Authorization: `Bearer ${key}` } });

export const closeSession = () => call("/session", { method: "DELETE" });

export const calibration = (collection) => call(`/collections/${encodeURIComponent(collection)}/calibration`);

export function duplicates({ collection, max_distance, filter = null, cursor = null }) {
  const fields = given({ collection, max_distance, cursor, filter: filter && stringify(filter) });
  return call(`/duplicates?${new URLSearchParams(fields)}`);
}

export function images({ collection, limit, filter = null, cursor = null }) {
  const fields = given({ collection, limit, cursor, filter: filter && stringify(filter) });
  return call(`/images?${new URLSearchParams(fields)}`);
}

export function searchByFile(file, options) {
  const form = new FormData();
  form.set("file", file);
  for (const [name, value] of Object.entries(given(options))) {
    form.set(name, typeof value === "object" ? stringify(value) : value);
  }
  return call("/search", { method: "POST", body: form });
}

export const searchById = (id, options) => searchJson({ image_id: id, ...options });

export const nextPage = (cursor) => searchJson({ cursor });
