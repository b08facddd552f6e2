// Following jobs by server-sent events.

import { get } from "./api.js";
import { parse } from "./json.js";

const POLL_MS = 2000;

/**
 * Follow a job until it is over.
 *
 * @param {object} job As the service describes it; its `links.events` is signed where keys are in use.
 * @param {(job: object) => void} onChange Told of each change, the last one too.
 * @returns {() => void} Ends it.
 */
export function followJob(job, onChange) {
  const source = new EventSource(job.links.events);
  const tell = (event) => onChange(parse(event.data));
  source.addEventListener("progress", tell);
  source.addEventListener("end", (event) => {
    source.close();
    tell(event);
  });
  let isEnded = false;
  let timer = null;
  // A stream is refused while the service restarts, or once its signature is too old: ask instead.
  const poll = async () => {
    const now = await get(`/jobs/${job.id}`).catch((problem) => problem);
    if (isEnded) return;
    if (now instanceof Error) {
      if ([401, 403, 404].includes(now.status)) {
        onChange({ ...job, status: "failed", error: { detail: now.message } });
        return;
      }
    } else {
      onChange(now);
      if (isOver(now)) return;
    }
    timer = setTimeout(poll, POLL_MS);
  };
  source.onerror = () => {
    // Otherwise it connects again by itself.
    if (source.readyState === EventSource.CLOSED) poll();
  };
  return () => {
    isEnded = true;
    clearTimeout(timer);
    source.close();
  };
}

export const isOver = (job) => ["succeeded", "failed", "cancelled"].includes(job.status);

/** Follow a job and resolve with its last state. */
export const whenOver = (job, onChange = () => {}) =>
  new Promise((resolve) => {
    if (isOver(job)) {
      resolve(job);
      return;
    }
    followJob(job, (now) => {
      onChange(now);
      if (isOver(now)) resolve(now);
    });
  });
