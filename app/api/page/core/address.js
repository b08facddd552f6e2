// The state of the page is its address, so that it can be reloaded, sent to others, and gone back to.

import { ROOT } from "./root.js";
import { Store } from "./store.js";

const VIEWS = ["search", "collection", "duplicates", "jobs", "models", "system"];

function read() {
  const fields = Object.fromEntries(new URLSearchParams(location.search));
  // An address of an earlier version.
  if ("duplicates" in fields) return { ...fields, duplicates: undefined, view: "duplicates" };
  return { ...fields, view: VIEWS.includes(fields.view) ? fields.view : "search" };
}

export const address = new Store(read());

/** The address of some state: what is null, undefined or "" is left out, and so are the usual values. */
export function hrefOf(fields) {
  const shown = Object.entries(fields).filter(([name, value]) =>
    value !== null && value !== undefined && value !== "" && !(name === "view" && value === "search")
      && !(name === "collection" && value === "default"));
  return shown.length ? `${ROOT}?${new URLSearchParams(shown)}` : ROOT;
}

/** Go to another state; with `replace`, without a step for Back. */
export function go(fields, { replace = false } = {}) {
  const href = hrefOf(fields);
  if (href === location.pathname + location.search) return;
  history[replace ? "replaceState" : "pushState"](null, "", href);
  address.value = {};
  address.set(read());
  if (!replace) window.scrollTo({ top: 0 });
}

/** Change some fields of the state and keep the others. */
export const change = (fields, options) => go({ ...address.value, ...fields }, options);

/** Follow a link inside the page unless it is to be opened elsewhere. */
export function follow(event, fields) {
  if (event.metaKey || event.ctrlKey || event.shiftKey || event.button) return;
  event.preventDefault();
  go(fields);
}

window.addEventListener("popstate", () => {
  address.value = {};
  address.set(read());
});
