// While somebody edits, shows what the server makes of it: the changes, or what is not right yet.
const PAUSE = 350;
const form = document.querySelector("form[data-preview]");
const target = document.getElementById("changes");
let timer = null;
let running = null;

async function ask() {
  running?.abort();
  running = new AbortController();
  try {
    const response = await fetch(form.dataset.preview, {
      method: "POST",
      body: new FormData(form),
      signal: running.signal,
    });
    if (!response.ok || response.redirected) return; // the next step says what is the matter
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    target.replaceChildren(...page.body.childNodes);
    target.hidden = false;
  } catch {
    // Offline or overtaken by the next keystroke: a preview is no promise.
  }
}

// On the document: the fields belong to the form by its id and stand elsewhere.
document.addEventListener("input", (event) => {
  if (!form || event.target.form !== form || event.target.name === "comment") return;
  clearTimeout(timer);
  timer = setTimeout(ask, PAUSE);
});
