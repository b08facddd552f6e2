// Asks for a key where the service has some.

import { openSession } from "../core/api.js";
import { refresh } from "../core/service.js";
import { html, useEffect, useRef, useState } from "../vendor/htm-preact.js";

export function KeyForm() {
  const [problem, setProblem] = useState("");
  const input = useRef(null);
  useEffect(() => input.current.focus(), []);
  const open = async (event) => {
    event.preventDefault();
    setProblem("");
    try {
      await openSession(input.current.value.trim());
    } catch (error) {
      setProblem(error.message);
      return;
    }
    await refresh();
  };
  return html`
    <form id="key-form" class="panel narrow" onSubmit=${open}>
      <h1>This service needs a key</h1>
      <p class="soft-text">It is kept in a cookie that no script can read. <code>lookalike keys create</code> makes one.</p>
      <div class="row">
        <input type="text" name="username" value="lookalike" autocomplete="username" hidden />
        <input id="key" ref=${input} type="password" autocomplete="current-password" aria-label="Key" placeholder="lk_…" required />
        <button class="button">Open</button>
      </div>
      <p id="key-problem" class="warn" role="alert">${problem}</p>
    </form>`;
}
