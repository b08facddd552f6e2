// What is known of the service: whether it is ready, its collections, what distances mean in each.

import * as api from "./api.js";
import { useEffect } from "../vendor/htm-preact.js";
import { Store, useStore } from "./store.js";

const WHILE_STARTING_MS = 500;

export const service = new Store({ info: null, collections: [], needsKey: false, problem: null });

/** Told when pictures came or went. */
export const changes = new Store({ count: 0 });

/** Told when a service that did not answer does so again. */
export const returns = new Store({ count: 0 });

const calibrations = new Map();
let timer = null;

const later = (milliseconds) => {
  clearTimeout(timer);
  timer = setTimeout(refresh, milliseconds);
};

/** Whether a problem may pass by itself. */
export const isPassing = ({ status }) => status === 0 || status === 429 || status >= 500;

api.whenKeyNeeded(() => service.set({ needsKey: true, problem: null }));

/** Call `load` again when the service is back, if `problem` is one that passes; look for the service until then. */
export function useReturn(problem, load) {
  const { count } = useStore(returns);
  useEffect(() => {
    if (problem?.status === 0) refresh();
  }, [problem]);
  useEffect(() => {
    if (problem && isPassing(problem)) load();
  }, [count]);
}

/** Read the state of the service; repeatedly while it starts. */
export async function refresh() {
  clearTimeout(timer);
  try {
    const before = service.value.info;
    const info = await api.info();
    const { items } = info.starting?.phase === "loading" ? { items: [] } : await api.collections();
    const wasAway = service.value.problem;
    service.set({ info, collections: items, needsKey: false, problem: null });
    if (wasAway) returns.set({ count: returns.value.count + 1 });
    if (info.starting) later(WHILE_STARTING_MS);
    if (before && before.index_version !== info.index_version) changes.set({ count: changes.value.count + 1 });
  } catch (problem) {
    if (!(problem instanceof api.Problem)) throw problem;
    if (problem.status === 401) {
      service.set({ needsKey: true, problem: null });
    } else {
      service.set({ problem });
      // A service that is only starting or busy says when to come back; a refusal stays one.
      if (isPassing(problem)) later((problem.retryAfter || 2) * 1000);
    }
  }
}

const SCOPES = ["search", "read", "write", "admin"];

/** Whether this page's key has a scope. Ask before a call: browsers report a refusal as an error. */
export const may = (scope) => SCOPES.indexOf(service.value.info?.scope) >= SCOPES.indexOf(scope);

/** Pictures came, went or changed by this page: the service has another version of its index then. */
export const picturesChanged = refresh;

const described = (name) => service.value.collections.find((one) => one.name === name);

/** Read the collections again if this one is not among them: it is new, or was not served yet. */
export const known = (name) => (described(name) ? Promise.resolve() : refresh());

/**
 * Whether the index of a collection is in the service's memory. One on a server has no groups of duplicates, no
 * weighted bits, and no words of metadata.
 */
export const isLocal = (name) => described(name)?.index === "local";

export const bitsOf = (name) => service.value.collections.find((one) => one.name === name)?.bits ?? 256;

/** What distances mean in a collection, which depends on its model. */
export function calibrationOf(name) {
  const model = service.value.collections.find((one) => one.name === name)?.model;
  const key = `${name} ${model}`;
  if (!calibrations.has(key)) {
    const asked = api.calibration(name);
    asked.catch(() => calibrations.delete(key));
    calibrations.set(key, asked);
  }
  return calibrations.get(key);
}
