// While the helper works: looks how far it is, and goes on by itself. Before a file: one press is enough.
"use strict";

addEventListener("DOMContentLoaded", () => {
  const waiting = document.getElementById("waiting");
  if (waiting) watch(waiting);
  for (const form of document.querySelectorAll("form[data-once]")) {
    form.addEventListener("submit", () => {
      // After the form has been read: what is disabled before isn't sent.
      setTimeout(() => form.querySelectorAll("button").forEach((button) => (button.disabled = true)));
      document.querySelectorAll("[data-after]").forEach((later) => (later.hidden = false));
    });
  }
  const copy = document.getElementById("copy");
  if (copy && navigator.clipboard) {
    copy.hidden = false;
    copy.addEventListener("click", () => navigator.clipboard.writeText(copy.dataset.text));
  }
});

function watch(waiting) {
  const late = document.getElementById("late");
  const issued = document.getElementById("issued");
  const begun = Date.now();
  const look = async () => {
    let stage = "";
    try {
      const answer = await (await fetch("/sekisho/acquisition/progress", { cache: "no-store" })).json();
      // What an earlier try brought is not what this page waits for.
      if (answer.stage !== "held" || answer.serial !== waiting.dataset.held) stage = answer.stage;
    } catch {
      // The next look may succeed.
    }
    if (stage === "held") return location.assign("/sekisho/acquisition/done");
    if (stage === "over") return location.assign("/sekisho/acquisition/certificate");
    if (stage === "issued") {
      issued.hidden = false;
      late.hidden = true;
    } else if (Date.now() - begun > 15000) {
      late.hidden = false;
    }
    setTimeout(look, 1000);
  };
  look();
}
