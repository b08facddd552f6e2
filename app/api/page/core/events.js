// Following jobs by server-sent events.

import { get } from "./api.js";
import { parse } from "./json.js";

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
  source.onerror = async () => {
    if (source.readyState !== EventSource.CLOSED) return; // it connects again by itself
    onChange(await get(`/jobs/${job.id}`).catch(() => job));
  };
  return () => source.close();
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
