// What can be done with models: encode a collection under another, compare, switch, go back, train.

import { Bar, ProblemNotice } from "../../components/notices.js";
import { Thumb } from "../../components/picture.js";
import { say } from "../../components/toasts.js";
import { images, post, readImage } from "../../core/api.js";
import { whenOver } from "../../core/events.js";
import { refresh } from "../../core/service.js";
import { nameOf, percent, plural } from "../../core/words.js";
import { html, useEffect, useState } from "../../vendor/htm-preact.js";

const QUERIES = 24;
const SHOWN = 6;

/** Runs jobs, one at a time, and keeps what is shown of them. */
export function useJob(onDone) {
  const [job, setJob] = useState(null);
  const [problem, setProblem] = useState(null);
  const run = async (path, body, done) => {
    setProblem(null);
    try {
      const started = await post(path, body);
      setJob(started);
      const ended = await whenOver(started, setJob);
      if (ended.status === "succeeded") say(done);
      else setProblem({ message: ended.error?.detail ?? `The job ${ended.status}; see Jobs.`, status: 422 });
    } catch (error) {
      setProblem(error);
    }
    setJob(null);
    await refresh();
    onDone();
  };
  return { job, problem, setProblem, run };
}

export const JobBar = ({ job }) => job && html`
  <div role="status"><p class="soft-text">${job.progress.phase ?? job.status}…</p>
    <${Bar} value=${job.progress.percent === null ? undefined : job.progress.percent / 100} label="Progress" /></div>`;

function Moved({ query, collection }) {
  const [image, setImage] = useState(null);
  useEffect(() => {
    readImage(query.id, collection).then(setImage, () => {});
  }, [query.id]);
  return html`
    <li class="member">${image && html`<${Thumb} item=${image} />`}
      <span class="name">${image ? nameOf(image) : query.id}</span>
      <span>${percent(query.overlap)} of the first ten are the same</span></li>`;
}

const FIGURES = [["map_by_code", "mAP by code"], ["map_by_descriptor", "mAP with descriptors"],
  ["recall_at_1_by_code", "recall@1 by code"], ["recall_at_1_by_descriptor", "recall@1 with descriptors"]];
const figure = (value) => value === undefined ? "–" : value.toFixed(3);

/** Whether a trained model is better or worse than the one that was in use, as measured when it was trained. */
export const Verdict = ({ comparison }) => comparison && html`
  <ul data-shown="verdict">${["kinds", "copies"].filter((subject) => comparison[subject]).map((subject) => {
    const { verdict, relevant, new: mine, old, note } = comparison[subject];
    const shown = FIGURES.filter(([key]) => key in mine || key in old).map(([key, title]) => `${title} ${figure(old[key])} → ${figure(mine[key])}`);
    return html`<li key=${subject}>${subject === "kinds" ? "Kinds" : "Edited copies"}: <strong>${verdict}</strong>
      ${verdict.endsWith("difference") ? " from " : " than "}${comparison.against}
      ${note && html`<strong>, but ${note}</strong>`}
      <span class="soft-text"> (${shown.join(", ")}; relevant: ${relevant})</span></li>`;
  })}</ul>`;

/** Both models on pictures of the user's own: the newest. */
export function Comparison({ collection, model }) {
  const [found, setFound] = useState(null);
  const [problem, setProblem] = useState(null);
  const compare = async () => {
    setProblem(null);
    try {
      const { items } = await images({ collection, limit: QUERIES, order: "newest" });
      setFound(await post("/admin/models/compare", { collection, new: model, queries: items.map(({ id }) => id), limit: 10 }));
    } catch (error) {
      setProblem(error);
    }
  };
  const worst = found && [...found.queries].sort((a, b) => a.overlap - b.overlap).slice(0, SHOWN);
  return html`
    <div class="stack">
      <button type="button" class="quiet" data-act="compare" onClick=${compare}>Compare on my newest pictures</button>
      ${problem && html`<${ProblemNotice} problem=${problem} />`}
      ${found && html`<div class="stack" data-shown="comparison">
        <p>On ${plural(found.queries.length, "query", "queries")}, ${percent(found.overlap)} of the first ten results are the same under ${" "}
          ${found.old} and ${found.new}. These differ most:</p>
        <ol class="members">${worst.map((query) => html`<${Moved} key=${query.id} query=${query} collection=${collection} />`)}</ol></div>`}
    </div>`;
}

const METHODS = [
  ["diffusion_similarity", "Neighbours: the best without labels, takes minutes"],
  ["itq", "ITQ: quick, no labels"],
  ["few_shot", "Few shot: learns from a few labels"],
  ["semi_supervised", "Semi-supervised: learns from some labels"],
];

/** Train a model on the collection's own pictures. */
export function TrainForm({ collection, onDone }) {
  const { job, problem, run } = useJob(onDone);
  const submit = (event) => {
    event.preventDefault();
    const { name, method, bits, label } = Object.fromEntries(new FormData(event.target));
    run("/admin/jobs/train", { name, collection, method, bits: bits ? Number(bits) : null, label: label || "label" }, `Trained ${name}.`);
  };
  return html`
    <form class="panel" id="train" onSubmit=${submit} autocomplete="off">
      <h2>Train on this collection</h2>
      <div class="controls">
        <label>Name <input name="name" required placeholder="my-64" /></label>
        <label>Method <select name="method">${METHODS.map(([name, label]) => html`<option key=${name} value=${name}>${label}</option>`)}</select></label>
        <label>Bits <select name="bits"><option value="">as many as the pictures allow</option>
          ${[32, 64, 128, 256].map((bits) => html`<option key=${bits} value=${String(bits)}>${bits}</option>`)}</select></label>
        <label>Label key <input name="label" placeholder="label" /></label>
        <button class="button" disabled=${Boolean(job)}>Train</button>
      </div>
      <${JobBar} job=${job} />
      ${problem && html`<${ProblemNotice} problem=${problem} />`}
    </form>`;
}
