// Models: what each was measured at, how it does on the collection, and switching the collection to another.

import { ProblemNotice } from "../components/notices.js";
import { say } from "../components/toasts.js";
import { get, post } from "../core/api.js";
import { refresh, service, useReturn } from "../core/service.js";
import { useStore } from "../core/store.js";
import { html, useEffect, useState } from "../vendor/htm-preact.js";
import { Comparison, JobBar, TrainForm, useJob, Verdict } from "./models/actions.js";
import { Evaluation, FigureTable, Protocol } from "./models/evaluation.js";
import { Words } from "./models/words.js";

function useModels(collection) {
  const [found, setFound] = useState({ models: [], evaluations: [], problem: null });
  const load = async () => {
    try {
      const { items } = await get("/models");
      const models = await Promise.all(items.map(({ name }) => get(`/models/${name}/report`)));
      const jobs = await get("/jobs", { type: "evaluate", status: "succeeded", collection, limit: 20 });
      setFound({ models, evaluations: jobs.items.filter(({ result }) => result?.figures), problem: null });
    } catch (problem) {
      setFound((now) => ({ ...now, problem }));
    }
  };
  useEffect(() => { load(); }, [collection]);
  useReturn(found.problem, load);
  return [found, load];
}

const licenceOf = ({ licence, training }) => [licence && `licence ${licence}`, training?.method && `method ${training.method}`,
  training && (training.labels_used ? "trained with labels" : "no labels used")].filter(Boolean).join(" · ");

function Model({ model, here, onChange }) {
  const { job, problem, setProblem, run } = useJob(onChange);
  const { document } = model;
  const isActive = here?.model === model.name;
  const isEncoded = here?.next_model === model.name || here?.previous_model === model.name;
  const body = { collection: here?.name, model: model.name };
  const activate = async () => {
    setProblem(null);
    try {
      await post(`/admin/models/${model.name}/activate`, { collection: here.name });
      say(`${here.name} is searched under ${model.name} now.`);
      await refresh();
      onChange();
    } catch (error) {
      setProblem(error);
    }
  };
  const metrics = (document.metrics ?? []).filter(({ map_all: map }) => map !== undefined);
  return html`
    <article class="panel model" data-name=${model.name}>
      <div class="spread"><h2>${model.name}</h2>
        <span class="row">${isActive && html`<span class="state active">in use</span>`}
          <span class="state">${model.bits} bits</span><span class="state">${model.origin}</span>${model.words === "text tower" && html`<span class="state">text tower</span>`}</span></div>
      <p>${document.summary}</p>
      <p class="soft-text">${licenceOf(document)}</p>
      <${Verdict} comparison=${document.calibration?.comparison} />
      ${metrics.length > 0 && html`<details><summary>Measured</summary>
        <${FigureTable} rows=${metrics.map((one) => [`${one.ranking}${one.encoder ? `, ${one.encoder}` : ""}`, one])} />
        ${metrics[0].protocol && html`<${Protocol} protocol=${metrics[0].protocol} />`}</details>`}
      <${JobBar} job=${job} />
      ${problem && html`<${ProblemNotice} problem=${problem} />`}
      <div class="row">
        <button type="button" class="quiet" data-act="evaluate" disabled=${Boolean(job) || (!isActive && !isEncoded)}
          onClick=${() => run("/admin/jobs/evaluate", body, `Evaluated ${model.name}.`)}>Evaluate on my labels</button>
        ${!isActive && !isEncoded && html`<button type="button" class="button soft" data-act="reencode" disabled=${Boolean(job) || !here?.can_be_reencoded}
          onClick=${() => run("/admin/jobs/reencode", body, `${here.name} is encoded under ${model.name}; compare, then activate.`)}>Encode my pictures</button>`}
        ${!isActive && isEncoded && html`<button type="button" class="button" data-act="activate" onClick=${activate}>Activate</button>`}
      </div>
      ${!isActive && isEncoded && html`<${Comparison} collection=${here.name} model=${model.name} />`}
    </article>`;
}

export function ModelsView({ collection }) {
  const { collections } = useStore(service);
  const [{ models, evaluations, problem }, load] = useModels(collection);
  const here = collections.find(({ name }) => name === collection);
  const rollBack = async () => {
    try {
      const now = await post("/admin/models/rollback", { collection });
      say(`${collection} is searched under ${now.model} again.`);
    } catch (error) {
      say(error.message, "bad");
    }
    await refresh();
    load();
  };
  return html`
    <section class="stack" aria-labelledby="title">
      <div class="title-bar"><h1 id="title">Models</h1>
        <p class="soft-text">${here && `${here.name} is searched under ${here.model}.`}</p>
        ${here?.previous_model && html`<button type="button" class="quiet" id="roll-back" onClick=${rollBack}>Roll back to ${here.previous_model}</button>`}
      </div>
      ${problem && html`<${ProblemNotice} problem=${problem} onRetry=${load} />`}
      <div class="cards" id="models">${models.map((model) => html`<${Model} key=${model.name} model=${model} here=${here} onChange=${load} />`)}</div>
      ${evaluations.map((job) => html`<${Evaluation} key=${job.id} job=${job} />`)}
      <${Words} key=${collection} collection=${collection} />
      <${TrainForm} collection=${collection} onDone=${load} />
    </section>`;
}
