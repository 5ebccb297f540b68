// Keeps one request current: fetches its parts when it changed and swaps those whose version differs.
// What somebody is typing is left alone as long as the request still waits for an answer.
import { load } from "./load.js";
import { merge } from "./merge.js";

const TOGETHER = 100; // ms: one decision makes several events
const page = document.getElementById("request");
const announcer = document.getElementById("announcer");
let timer = null;
let running = false;
let again = false;

function soon() {
  clearTimeout(timer);
  timer = setTimeout(read, TOGETHER);
}

async function read() {
  if (running) {
    again = true;
    return;
  }
  running = true;
  try {
    const parts = await load(page.dataset.fragment);
    if (parts) take(parts);
  } finally {
    running = false;
    if (again) {
      again = false;
      soon();
    }
  }
}

function take(fresh) {
  for (const part of fresh.querySelectorAll("[data-part]")) {
    const old = document.getElementById(part.id);
    if (!old || old.dataset.version === part.dataset.version) continue;
    if (old.dataset.news !== part.dataset.news && part.dataset.news) {
      announcer.textContent = part.dataset.news;
    }
    const [was, is] = [old.querySelector("[data-keyed]"), part.querySelector("[data-keyed]")];
    if (was && is) {
      merge(was, is); // opened details stay open
      old.dataset.version = part.dataset.version;
    } else {
      replace(old, part);
    }
  }
}

function replace(old, part) {
  const focused = old.contains(document.activeElement) ? document.activeElement : null;
  for (const name of ["#comment", "#remark", "#hand-over-reason", "#extend-reason"]) {
    const was = old.querySelector(name);
    const is = part.querySelector(name);
    if (was && is) is.value = was.value; // half a sentence is not lost to somebody else's vote
  }
  for (const fold of old.querySelectorAll("details[open][id]")) {
    const is = part.querySelector(`#${fold.id}`);
    if (is) is.open = true;
  }
  old.replaceWith(part);
  if (!focused) return;
  const again = focused.id && document.getElementById(focused.id);
  (again || document.getElementById("main")).focus({ preventScroll: true });
}

document.addEventListener("hitl:changed", ({ detail }) => {
  if (detail.workflow_id === page.dataset.workflow) soon();
});
document.addEventListener("hitl:resync", soon);
document.addEventListener("hitl:logged-out", () => location.reload());
