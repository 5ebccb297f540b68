// Keeps the list of caught messages and the open chat current: asks again when something changed,
// and every few seconds, since not every message belongs to a change.
import { merge } from "./merge.js";

const EVERY = 5000;
// After a change messages are sent and rewritten by workers: look again when they have had time.
const AGAIN = [0, 700, 2000];
const NEAR_THE_END = 120;
let running = false;

async function read() {
  if (running || document.visibilityState === "hidden") return;
  running = true;
  try {
    for (const area of document.querySelectorAll("[data-fragment]")) await refresh(area);
  } catch {
    document.dispatchEvent(new CustomEvent("hitl:unreachable"));
  } finally {
    running = false;
  }
}

async function refresh(area) {
  const response = await fetch(area.dataset.fragment, { cache: "no-store" });
  if (response.redirected || response.status === 403) {
    location.reload(); // logged out, or no longer staff: the server says which
    return;
  }
  if (!response.ok) throw new Error(String(response.status));
  take(area, new DOMParser().parseFromString(await response.text(), "text/html"));
}

function take(area, page) {
  const [was, is] = [area, page].map((root) => root.querySelector("[data-list]"));
  if (!was) {
    if (is.children.length) location.reload(); // the first message: the page has another shape
    return;
  }
  const atEnd = was.scrollHeight - was.scrollTop - was.clientHeight < NEAR_THE_END;
  merge(was, is, { onNew: (row) => row.classList.add("is-new") });
  if (area.id !== "sandbox-chat") return;
  if (atEnd) toTheEnd(was);
  takeComposer(area, page);
  takeDialog(area, page);
}

// Suggestions and the question that is answered change; what somebody is typing does not.
function takeComposer(area, page) {
  const [was, is] = [area, page].map((root) => root.querySelector("[data-composer]"));
  if (!was || was.dataset.composer === is.dataset.composer) return;
  if (!was.querySelector("input[type=text]").value) was.replaceWith(is);
}

// A form may come later than the page; one that is open stays as it is filled in. None lies over the
// list: it waits on its own screen, which a phone shows alone.
function takeDialog(area, page) {
  if (area.closest(".is-list")) return;
  const is = page.querySelector("[data-dialog]");
  if (!is || area.querySelector("[data-dialog]")) return;
  area.append(is);
  open(is);
}

function open(dialog) {
  dialog.close();
  dialog.showModal();
  dialog.addEventListener("cancel", (event) => {
    event.preventDefault();
    dialog.querySelector("[data-cancel], [value=close]").click();
  });
}

function toTheEnd(list) {
  list.scrollTop = list.scrollHeight;
}

const chat = document.querySelector("#sandbox-chat [data-list]");
if (chat && !location.hash) toTheEnd(chat);
document.querySelectorAll("[data-dialog]").forEach(open);
for (const name of ["hitl:changed", "hitl:resync"]) {
  document.addEventListener(name, () => AGAIN.forEach((wait) => setTimeout(read, wait)));
}
setInterval(read, EVERY);
