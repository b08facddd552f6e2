// Deleted pictures: hidden at once in every view, also while their deletion can still be undone.

import { Store } from "./store.js";

/** By collection and id: null while the deletion can be undone, then the time when it was done. */
export const deletions = new Store({ entries: new Map() });

const keyOf = (collection, id) => JSON.stringify([collection, id]);

function change(ids, collection, apply) {
  const entries = new Map(deletions.value.entries);
  for (const id of ids) apply(entries, keyOf(collection, id));
  deletions.set({ entries });
}

export const begin = (ids, collection) => change(ids, collection, (entries, key) => entries.set(key, null));

export const finish = (ids, collection) => {
  const now = performance.now();
  change(ids, collection, (entries, key) => entries.set(key, now));
};

export const undo = (ids, collection) => change(ids, collection, (entries, key) => entries.delete(key));

/**
 * Whether a list must leave a picture out.
 *
 * @param {Map} entries Of the store.
 * @param {number} askedAt When the list was asked for: one asked for after the deletion shows a new picture of that id.
 */
export function isHidden(entries, collection, id, askedAt) {
  const doneAt = entries.get(keyOf(collection, id));
  return doneAt === null || (doneAt !== undefined && askedAt < doneAt);
}
