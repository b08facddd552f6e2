// What is known of the service: whether it is ready, its collections, what distances mean in each.

import * as api from "./api.js";
import { Store } from "./store.js";

const WHILE_STARTING_MS = 500;

export const service = new Store({ info: null, collections: [], needsKey: false, problem: null });

/** Told when pictures came or went. */
export const changes = new Store({ count: 0 });

const calibrations = new Map();
let timer = null;

const later = (seconds) => {
  clearTimeout(timer);
  timer = setTimeout(refresh, seconds);
};

/** Read the state of the service; while it starts, again and again. */
export async function refresh() {
  clearTimeout(timer);
  try {
    const before = service.value.info;
    const info = await api.info();
    const { items } = info.starting?.phase === "loading" ? { items: [] } : await api.collections();
    service.set({ info, collections: items, needsKey: false, problem: null });
    if (info.starting) later(WHILE_STARTING_MS);
    if (before && before.index_version !== info.index_version) changes.set({ count: changes.value.count + 1 });
  } catch (problem) {
    if (!(problem instanceof api.Problem)) throw problem;
    if (problem.status === 401) {
      service.set({ needsKey: true, problem: null });
    } else {
      // A service that is only starting or busy says when to come back.
      service.set({ problem });
      later((problem.retryAfter || 2) * 1000);
    }
  }
}

/** Pictures came, went or changed by this page: the service has another version of its index then. */
export const picturesChanged = refresh;

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
