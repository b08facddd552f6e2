// Line icons, 24 by 24, drawn for this page.

import { html } from "../vendor/htm-preact.js";

const PATHS = {
  search: "M10.5 17a6.5 6.5 0 1 0 0-13 6.5 6.5 0 0 0 0 13ZM15.5 15.5 20 20",
  collection: "M4 5h7v7H4ZM13 5h7v7h-7ZM4 14h7v5H4ZM13 14h7v5h-7Z",
  duplicates: "M8 8h12v12H8ZM16 8V4H4v12h4",
  jobs: "M4 6h16M4 12h10M4 18h13",
  models: "M12 3l8 4.5v9L12 21l-8-4.5v-9ZM4 7.5l8 4.5 8-4.5M12 12v9",
  system: "M4 5h16v11H4ZM9 20h6M12 16v4",
  plus: "M12 5v14M5 12h14",
  minus: "M5 12h14",
  compare: "M12 4v16M4 7h5v10H4ZM15 7h5v10h-5Z",
  details: "M4 6h16M4 12h16M4 18h9",
  close: "M6 6l12 12M18 6 6 18",
  picture: "M4 6h16v12H4ZM4 16l5-5 4 4 3-3 4 4M9 9.5h.01",
  crop: "M7 3v14h14M3 7h14v14",
  code: "M9 7l-5 5 5 5M15 7l5 5-5 5",
  upload: "M12 16V5M7 10l5-5 5 5M5 19h14",
  check: "M5 12.5l4.5 4.5L19 7.5",
  trash: "M5 7h14M10 4h4M7 7l1 13h8l1-13",
};

export const Icon = ({ name }) => html`
  <svg class="icon" viewBox="0 0 24 24" aria-hidden="true"><path d=${PATHS[name]} /></svg>
`;
