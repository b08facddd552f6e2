// Adding pictures: files a few at a time, archives and addresses by jobs; it continues while the view changes.

import * as api from "./api.js";
import { followJob, isOver } from "./events.js";
import { picturesChanged, refresh, service } from "./service.js";
import { Store } from "./store.js";

/** Few enough that pictures appear soon. */
const FILES_AT_ONCE = 8;
const BYTES_AT_ONCE = 16e6;
const SHOWN_FAILURES = 200;
/** With up to a minute between two of them. */
const MOST_ATTEMPTS = 20;

const NOTHING = {
  isRunning: false, total: 0, done: 0, created: 0, unchanged: 0, failures: [], failed: 0, startedAt: 0, phase: "",
  problem: null, rate: 0,
};

/** What is being added, and how it came out. */
export const adding = new Store(NOTHING);

let queue = Promise.resolve();
let isStopped = false;
/** The import that is being followed; stopping cancels it. */
let importing = null;

export const dismiss = () => adding.set(NOTHING);

export function stop() {
  isStopped = true;
  if (importing) api.post(`/jobs/${importing.id}/cancel`).catch((problem) => note({ problem }));
}

function begin(total, phase) {
  const before = adding.value;
  isStopped = false;
  if (before.isRunning) adding.set({ total: before.total + total });
  else adding.set({ ...NOTHING, isRunning: true, total, phase, startedAt: performance.now() });
}

function note(changes) {
  const now = { ...adding.value, ...changes };
  const seconds = (performance.now() - now.startedAt) / 1000;
  adding.set({ ...changes, rate: seconds > 0.5 ? now.done / seconds : 0 });
}

function fail(failures) {
  const { failures: known, failed } = adding.value;
  note({ failures: [...known, ...failures].slice(0, SHOWN_FAILURES), failed: failed + failures.length });
}

/** Run what adds pictures after what is running already. */
function enqueue(work) {
  queue = queue.then(async () => {
    try {
      if (!isStopped) await work();
    } catch (problem) {
      if (!(problem instanceof api.Problem)) throw problem;
      note({ problem });
    }
    await picturesChanged();
  });
  const mine = queue;
  return queue.finally(() => {
    if (mine === queue) adding.set({ isRunning: false });
  });
}

function batches(files) {
  const most = Math.min(FILES_AT_ONCE, service.value.info?.limits.max_files_per_request ?? FILES_AT_ONCE);
  const found = [];
  let batch = [];
  let size = 0;
  for (const one of files) {
    if (batch.length && (batch.length >= most || size + one.file.size > BYTES_AT_ONCE)) {
      found.push(batch);
      [batch, size] = [[], 0];
    }
    batch.push(one);
    size += one.file.size;
  }
  return batch.length ? [...found, batch] : found;
}

/** In a folder, as in an archive, the name of the folder is the picture's label. */
const metadataOf = (path) => (path.includes("/") ? { label: path.split("/").at(-2) } : null);

/** Send pictures; wait and send them again while this sender is over a limit (429) or the service is busy (503). */
async function postPatiently(form) {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await api.postForm("/index", form);
    } catch (problem) {
      const isBusy = [429, 503].includes(problem.status) && problem.retryAfter;
      if (!isBusy || isStopped || attempt === MOST_ATTEMPTS) throw problem;
      await new Promise((resolve) => { setTimeout(resolve, problem.retryAfter * 1000); });
    }
  }
}

async function addBatch(batch, collection) {
  const form = new FormData();
  for (const { file } of batch) form.append("files", file, file.name);
  form.set("uris", JSON.stringify(batch.map(({ path }) => path)));
  form.set("metadata", JSON.stringify(batch.map(({ path }) => metadataOf(path))));
  form.set("collection", collection);
  const fallen = (problem) => batch.map(({ path }, i) => ({
    name: path,
    reason: problem.errors.find(({ pointer }) => pointer === `/files/${i}`)?.detail.replace(/^\w+: /, "") ?? problem.message,
  }));
  let answer = { items: [], counts: {} };
  try {
    answer = await postPatiently(form);
  } catch (problem) {
    // Without an answer, over a limit or with a full disk, the next ones would fare no better.
    if (!(problem instanceof api.Problem) || problem.status === 0 || problem.status >= 500 || [401, 403, 404, 429].includes(problem.status)) throw problem;
    if (batch.length > 1) {
      // What is refused may be one file or its name; the others are to be added.
      for (const one of batch) await addBatch([one], collection);
      return;
    }
    fail(fallen(problem));
  }
  const { created = 0, unchanged = 0, replaced = 0 } = answer.counts;
  note({
    done: adding.value.done + batch.length,
    created: adding.value.created + created + replaced,
    unchanged: adding.value.unchanged + unchanged,
  });
  fail(answer.items.flatMap((item, i) => (item.error ? [{ name: batch[i].path, reason: item.error.detail }] : [])));
  await picturesChanged();
}

/** Add files, each {file, path}; archives among them become jobs. */
export function addFiles(files, collection) {
  const archives = files.filter(({ file }) => /\.(zip|tar|tar\.gz|tgz)$/i.test(file.name));
  const pictures = files.filter((one) => !archives.includes(one));
  if (!files.length) {
    begin(0, "");
    note({ problem: new api.Problem(415, { detail: "None of the files looks like a picture or an archive." }), isRunning: false });
    return;
  }
  if (pictures.length) {
    begin(pictures.length, "adding");
    enqueue(async () => {
      for (const batch of batches(pictures)) {
        if (isStopped) return;
        await addBatch(batch, collection);
      }
    });
  }
  for (const { file } of archives) addArchive(file, collection);
}

async function followImport(job, before) {
  let shownAt = 0;
  importing = job;
  if (isStopped) stop();
  await new Promise((resolve) => {
    const stopFollowing = followJob(job, (now) => {
      const { created = 0, unchanged = 0, replaced = 0, failed = 0 } = now.counts;
      const total = before.total - 1 + (now.progress.total ?? 1);
      note({
        phase: now.progress.phase ?? now.status, total, done: before.done + now.progress.done,
        created: before.created + created + replaced, unchanged: before.unchanged + unchanged, failed: before.failed + failed,
        ...(now.progress.rate_per_s && { rate: now.progress.rate_per_s }),
      });
      if (created !== shownAt) {
        shownAt = created;
        refresh();
      }
      if (isOver(now)) {
        importing = null;
        stopFollowing();
        if (now.error) note({ problem: new api.Problem(422, { detail: now.error.detail }) });
        resolve();
      }
    });
  });
  const { items } = await api.get(`/jobs/${job.id}/items`, { status: "failed", limit: SHOWN_FAILURES });
  note({ failures: [...before.failures, ...items.map((item) => ({ name: item.name, reason: item.error?.detail ?? "" }))] });
}

const byJob = (start, collection) => {
  begin(1, "sending");
  enqueue(async () => {
    const before = adding.value;
    await followImport(await start(collection), before);
  });
};

export const addArchive = (file, collection) =>
  byJob(() => api.postForm("/index", { archive: file, collection }), collection);

export const addUrl = (url, collection) => byJob(() => api.post("/index", { urls: [url], collection }), collection);
