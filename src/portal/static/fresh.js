// Browsers keep whole pages for the way back, also those that say `no-store`, and with what was typed into them. What
// comes back from there is asked for anew: who has signed out sees nothing of who was signed in.
"use strict";

addEventListener("pagehide", () => (document.body.hidden = true));
addEventListener("pageshow", (event) => {
  // Not `reload()`, which would send a form once more.
  if (event.persisted) location.replace(location.pathname + location.search);
});
