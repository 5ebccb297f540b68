// The forms for policies and rules. Without this script every button posts and the page is drawn
// anew; with it the words follow what is typed, and parts come and go in place.
const PAUSE = 450;
let timer = null;
let running = null;

function form() {
  return document.querySelector("form[data-draft]");
}

async function post(button) {
  running?.abort();
  running = new AbortController();
  const body = new FormData(form());
  body.set("do", button);
  const response = await fetch(form().action, { method: "POST", body, signal: running.signal });
  if (response.redirected || !response.headers.get("Content-Type")?.startsWith("text/html")) {
    throw new Error("not the page");
  }
  return new DOMParser().parseFromString(await response.text(), "text/html");
}

function swap(page, id) {
  const old = document.getElementById(id);
  const fresh = page.getElementById(id);
  if (!old || !fresh) throw new Error("not the page");
  old.replaceWith(fresh);
  return fresh;
}

async function look() {
  try {
    swap(await post("look"), "in-words");
  } catch {
    // Offline or overtaken by the next keystroke: the words are drawn again with the next change.
  }
}

async function press(button) {
  const value = button.value;
  try {
    const page = await post(value);
    const main = swap(page, "draft-main");
    swap(page, "in-words");
    const target = main.querySelector("[autofocus]") ?? main.querySelector("#trial, #error");
    target?.focus({ preventScroll: true });
    target?.closest(".line, section, .notice")?.scrollIntoView({ block: "nearest" });
  } catch (error) {
    if (error.name !== "AbortError") form().requestSubmit(button);
  }
}

const IN_PLACE = /^(add-|remove:|up:|down:|try$)/;

document.addEventListener("click", (event) => {
  const button = event.target.closest("form[data-draft] button[name=do]");
  if (!button || !IN_PLACE.test(button.value)) return;
  event.preventDefault();
  clearTimeout(timer);
  press(button);
});

document.addEventListener("input", (event) => {
  if (event.target.form !== form() || event.target.name === "note") return;
  clearTimeout(timer);
  timer = setTimeout(look, PAUSE);
});
