// Jobs: how far each is, live; pause, cancel, retry; what failed and why.

import { Bar, Notice, ProblemNotice } from "../components/notices.js";
import { say } from "../components/toasts.js";
import { get, post } from "../core/api.js";
import { followJob, isOver } from "../core/events.js";
import { picturesChanged } from "../core/service.js";
import { bytes, count, duration, moment, plural } from "../core/words.js";
import { html, useEffect, useRef, useState } from "../vendor/htm-preact.js";
import { Verdict } from "./models/actions.js";
import { usePages, useSeen } from "./search/results-state.js";

/** A browser opens six connections to a service; streams must leave some for everything else. */
const FOLLOWED = 3;
const REFRESH_MS = 5000;

const KINDS = {
  index: "Import", reencode: "Re-encode", hash: "Hash pictures", train: "Train", evaluate: "Evaluate", backup: "Backup", restore: "Restore", verify: "Verify", learn_words: "Learn words",
};

const subjectOf = ({ arguments: given, collection }) =>
  [given.name ?? given.folder ?? given.prefix ?? given.model, collection && `in ${collection}`].filter(Boolean).join(" ");

function FailedItems({ job }) {
  const [found, setFound] = useState(null);
  const [isOpen, setOpen] = useState(false);
  const failed = job.counts.failed ?? 0;
  useEffect(() => {
    if (isOpen) get(`/jobs/${job.id}/items`, { status: "failed", limit: 200 }).then(setFound, () => {});
  }, [isOpen, failed]);
  if (!failed) return null;
  return html`
    <details class="failures" onToggle=${(event) => setOpen(event.target.open)}>
      <summary class="warn">${plural(failed, "item")} failed</summary>
      <ul>${(found?.items ?? []).map((item) => html`
        <li key=${item.position}><code>${item.name}</code> <span>${item.error?.detail}</span></li>`)}</ul>
    </details>`;
}

/** The figures of a result that is short enough to be read. */
function Result({ job }) {
  const facts = Object.entries(job.result ?? {})
    .filter(([name, value]) => name !== "digest" && value && ["string", "number"].includes(typeof value));
  if (!isOver(job) || !facts.length) return null;
  const text = ([name, value]) => `${name.replaceAll("_", " ")} ${name.includes("bytes") ? bytes(value) : typeof value === "number" ? count(value) : value}`;
  return html`<p class="soft-text">${facts.slice(0, 6).map(text).join(" · ")}</p>`;
}

function Job({ job, onChange }) {
  const { progress } = job;
  const item = useRef(null);
  const act = async (name) => {
    try {
      onChange(await post(`/jobs/${job.id}/${name}`));
    } catch (problem) {
      say(problem.message, "bad");
    }
    // The button that was pressed may be gone.
    setTimeout(() => document.activeElement === document.body && item.current?.focus({ preventScroll: true }), 100);
  };
  const button = (name, label) => html`
    <button type="button" class="quiet" data-act=${name} onClick=${() => act(name)}>${label}</button>`;
  const canRetry = isOver(job) && (job.status !== "succeeded" || job.counts.failed > 0);
  const counts = Object.entries(job.counts).filter(([name]) => name !== "failed").map(([name, number]) => `${count(number)} ${name}`);
  const doing = [progress.phase, progress.total ? `${count(progress.done)} of ${count(progress.total)}` : progress.done ? count(progress.done) : "",
    progress.rate_per_s > 0 && `${progress.rate_per_s.toFixed(1)} a second`, progress.eta_s && `about ${duration(progress.eta_s)} left`];
  return html`
    <li class="panel job" ref=${item} tabindex="-1" data-id=${job.id} data-status=${job.status}>
      <div class="spread">
        <h2>${KINDS[job.type] ?? job.type} <span class="soft-text">${subjectOf(job)}</span></h2>
        <span class=${`state ${job.status}`}>${job.requested ? `${job.requested} asked for` : job.status}</span>
      </div>
      ${!isOver(job) && html`<${Bar} value=${progress.percent === null ? undefined : progress.percent / 100} label="Progress" />`}
      <p class="soft-text">${(isOver(job) ? [...counts, moment(job.finished_at)] : doing).filter(Boolean).join(" · ")}</p>
      ${job.error && html`<p class="warn">${job.error.detail}</p>`}
      <${Result} job=${job} />
      <${Verdict} comparison=${job.result?.comparison} />
      <${FailedItems} job=${job} />
      <div class="row">
        ${["running", "queued"].includes(job.status) && button("pause", "Pause")}
        ${job.status === "paused" && button("resume", "Resume")}
        ${!isOver(job) && button("cancel", "Cancel")}
        ${canRetry && button("retry", job.counts.failed ? "Retry what failed" : "Retry")}
      </div>
    </li>`;
}

/** Jobs by id as their event streams tell them, newer than the list. */
function useLive(jobs, onOver) {
  const [live, setLive] = useState(new Map());
  const followed = jobs.filter((job) => !isOver(live.get(job.id) ?? job)).slice(0, FOLLOWED).map(({ id }) => id).join();
  const put = (job) => setLive((now) => new Map(now).set(job.id, job));
  useEffect(() => {
    const ends = jobs.filter(({ id }) => followed.split(",").includes(id)).map((job) =>
      followJob(job, (now) => {
        put(now);
        if (isOver(now)) onOver();
      }));
    return () => ends.forEach((end) => end());
  }, [followed]);
  return [live, put];
}

export function JobsView() {
  const [version, setVersion] = useState(0);
  const pages = usePages("jobs", async (signal) => ({ answer: await get("/jobs", { limit: 30 }, { signal }), query: null }),
    (cursor, signal) => get("/jobs", { limit: 30, cursor }, { signal }), version);
  const [live, put] = useLive(pages.items, picturesChanged);
  const isRefused = pages.problem?.status === 403;
  useEffect(() => {
    if (isRefused) return undefined;
    const timer = setInterval(() => document.visibilityState === "visible" && setVersion((now) => now + 1), REFRESH_MS);
    return () => clearInterval(timer);
  }, [isRefused]);
  const end = useSeen(pages.more, Boolean(pages.cursor), pages.items.length);
  const change = (job) => {
    put(job);
    setVersion((now) => now + 1);
  };
  const newest = (job) => {
    const known = live.get(job.id);
    return known && known.updated_at >= job.updated_at ? known : job;
  };
  return html`
    <section class="stack" aria-labelledby="title">
      <div class="title-bar"><h1 id="title">Jobs</h1>
        <p class="soft-text">Imports, training, re-encoding and backups; the newest first.</p></div>
      ${pages.problem && html`<${ProblemNotice} problem=${pages.problem} onRetry=${pages.again} />`}
      ${!pages.items.length && !pages.isBusy && !pages.problem && html`
        <${Notice} id="empty" title="No jobs yet"><p>Add a zip to a collection, and its import appears here.</p><//>`}
      <ol class="stack" id="jobs">${pages.items.map((job) => html`<${Job} key=${job.id} job=${newest(job)} onChange=${change} />`)}</ol>
      ${pages.cursor && html`<div class="more" ref=${end}></div>`}
    </section>`;
}
