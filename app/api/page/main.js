// Where the page begins.

import { refresh } from "./core/service.js";
import { Shell } from "./shell.js";
import { html, render } from "./vendor/htm-preact.js";

render(html`<${Shell} />`, document.getElementById("app"));
refresh();
