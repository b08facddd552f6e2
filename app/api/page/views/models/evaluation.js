// How well a model does on the collection's own labels, as plots.

import { Bars, Lines, logarithmic } from "../../components/plot.js";
import { count, moment, percent } from "../../core/words.js";
import { html } from "../../vendor/htm-preact.js";

const FIGURES = { map_all: "mAP", precision_at_10: "precision@10", precision_at_100: "precision@100", recall_at_10: "recall@10" };

export const FigureTable = ({ rows }) => html`
  <div class="scroll"><table>
    <thead><tr><th></th>${Object.values(FIGURES).map((label) => html`<th key=${label}>${label}</th>`)}</tr></thead>
    <tbody>${rows.map(([name, figures]) => html`
      <tr key=${name}><td>${name}</td>${Object.keys(FIGURES).map((key) => html`<td key=${key}>${figures[key] ?? "–"}</td>`)}</tr>`)}</tbody>
  </table></div>`;

export const Protocol = ({ protocol }) => html`
  <p class="soft-text">On ${protocol.collection}: ${count(protocol.queries)} queries among ${count(protocol.gallery)} pictures;
    relevant: ${protocol.relevant}. Split: ${protocol.split}. Ties: ${protocol.ties}.</p>`;

function Plots({ curves }) {
  const depth = logarithmic(curves.precision_at.at(-1)?.[0] ?? 1);
  const uses = curves.pictures_per_code;
  const most = Math.max(...uses.map(([, codes]) => codes));
  return html`
    <div class="plots">
      <${Lines} title="Precision and recall" x="recall" y="precision within a distance"
        lines=${[{ name: "all queries", points: curves.precision_recall.map(([, recall, precision]) => [recall, precision]) }]} />
      <${Lines} title="Precision@K" x="K" y="precision" xs=${curves.precision_at.map(([k]) => [depth(k), String(k)])}
        lines=${[{ name: "mean of queries", points: curves.precision_at.map(([k, precision]) => [depth(k), precision]) }]} />
      <${Bars} title="Bit balance" x="bit" y="share of pictures that set it" heights=${curves.set_share}
        xs=${[[0, "0"], [1, String(curves.set_share.length)]]} />
      <${Bars} title="Collisions" x="pictures that share a code" y="codes" heights=${uses.map(([, codes]) => codes / most)}
        ys=${[[0, "0"], [1, count(most)]]} xs=${uses.slice(0, 12).map(([pictures], i) => [(i + 0.5) / uses.length, String(pictures)])} />
    </div>`;
}

/** The result of an evaluate job. */
export function Evaluation({ job }) {
  const { result } = job;
  return html`
    <div class="panel evaluation" data-model=${result.model}>
      <div class="spread"><h2>${result.model} on ${job.collection}</h2><span class="soft-text">${moment(job.finished_at)}</span></div>
      <${FigureTable} rows=${[["by the codes", result.figures]]} />
      ${result.curves && html`<${Plots} curves=${result.curves} />`}
      <p class="soft-text">${count(result.bits_used.distinct)} different codes, ${percent(result.bits_used.collisions)} of pictures share theirs;
        mean imbalance of a bit ${result.bits_used.balance}, mean correlation of two ${result.bits_used.correlation}.</p>
      <${Protocol} protocol=${result.protocol} />
    </div>`;
}
