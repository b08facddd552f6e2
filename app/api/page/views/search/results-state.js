// Pages of an answer: asked for, added to, thrown away when another question overtakes them.

import * as api from "../../core/api.js";
import { deletions, isHidden } from "../../core/deletions.js";
import { useReturn } from "../../core/service.js";
import { useStore } from "../../core/store.js";
import { useEffect, useRef, useState } from "../../vendor/htm-preact.js";

const NOTHING = { items: [], cursor: null, answer: null, query: null, problem: null, isBusy: true, key: null, shows: null, askedAt: 0 };

/**
 * @param {string} key Names the question; another one starts again.
 * @param {(signal: AbortSignal) => Promise<{answer: object, query: object}>} ask The first page.
 * @param {(cursor: string, signal: AbortSignal) => Promise<object>} goOn A later page.
 * @param {unknown} version Another one asks again and keeps what is shown meanwhile.
 */
export function usePages(key, ask, goOn, version = null) {
  const [state, setState] = useState(NOTHING);
  const running = useRef(null);
  const begin = () => {
    running.current?.abort();
    running.current = new AbortController();
    return running.current.signal;
  };
  const run = async (work, signal) => {
    setState((now) => ({ ...now, isBusy: true }));
    try {
      const changes = await work(signal);
      if (!signal.aborted) setState((now) => ({ ...now, ...changes(now), isBusy: false }));
    } catch (problem) {
      if (signal.aborted) return;
      if (!(problem instanceof api.Problem)) throw problem;
      setState((now) => ({ ...now, problem, items: [], cursor: null, answer: null, isBusy: false, key }));
    }
  };
  const again = () => {
    const shows = location.search;
    const askedAt = performance.now();
    // As many as are shown, so that the window does not jump when something else has changed.
    const least = state.key === key ? state.items.length : 0;
    return run(async (signal) => {
      const { answer, query } = await ask(signal);
      let { items, next_cursor: cursor } = answer;
      while (cursor && items.length < least) {
        const next = await goOn(cursor, signal);
        items = [...items, ...next.items];
        cursor = next.next_cursor;
      }
      return () => ({ items, cursor, answer, query, problem: null, key, shows, askedAt });
    }, begin());
  };
  const more = () => state.cursor && !state.isBusy && run(async (signal) => {
    const answer = await goOn(state.cursor, signal);
    return (now) => ({ items: [...now.items, ...answer.items], cursor: answer.next_cursor });
  }, begin());
  useEffect(() => {
    again();
    return () => running.current?.abort();
  }, [key, version]);
  useReturn(state.problem, again);
  // The answer to the question before stays, as busy, until the new one is there: a slider does not flicker.
  return { ...state, isBusy: state.isBusy || state.key !== key, again, more };
}

/** The items of pages that have not been deleted since. */
export function useKept(pages, collection) {
  const { entries } = useStore(deletions);
  return pages.items.filter(({ id }) => !isHidden(entries, collection, id, pages.askedAt));
}

/** Calls `onSeen` when the element is near the window, again whenever `version` has changed. */
export function useSeen(onSeen, isActive, version) {
  const element = useRef(null);
  const latest = useRef(onSeen);
  latest.current = onSeen;
  useEffect(() => {
    if (!isActive || !element.current) return undefined;
    const observer = new IntersectionObserver((entries) => {
      if (entries.some((entry) => entry.isIntersecting)) latest.current();
    }, { rootMargin: "600px" });
    observer.observe(element.current);
    return () => observer.disconnect();
  }, [isActive, version]);
  return element;
}
