// What to say where there is nothing, or something failed.

import { fieldsOf } from "../core/api.js";
import { html } from "../vendor/htm-preact.js";

/** A refusal or failure, with a way to try again where that can help. */
export function ProblemNotice({ problem, onRetry }) {
  const canHelp = onRetry && (problem.status === 0 || problem.status >= 500 || problem.status === 429);
  const fields = fieldsOf(problem);
  return html`
    <div class="notice problem" id="problem" role="alert">
      <div><strong>${problem.message}</strong>${fields.map((sentence) => html`<p key=${sentence}>${sentence}</p>`)}</div>
      ${canHelp && html`<button type="button" id="retry" class="button soft" onClick=${onRetry}>Try again</button>`}
    </div>`;
}

export const Notice = ({ id, title, children }) => html`
  <div class="notice" id=${id}>
    <div>${title && html`<strong>${title}</strong>`}${children}</div>
  </div>`;

/** A bar from 0 to 1; without a value, it only shows that work is in progress. */
export const Bar = ({ value, label }) => html`<progress class="bar" value=${value} max="1" aria-label=${label}></progress>`;
