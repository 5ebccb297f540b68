// Keeps the list of waiting requests current: fetches the list again when something changed and
// merges it row by row. Nothing moves under a pointer, nor above where somebody reads: new rows
// wait behind a "3 new" button, decided ones stay in place, struck out, until it is safe.
import { load } from "./load.js";
import { merge } from "./merge.js";

const TOGETHER = 120; // ms: hints come in bursts
const TOP = 80; // px: so far down still counts as "at the top"
const WORDS = {
  REJECTED: "Rejected",
  TIMEOUT: "Timed out",
  CANCELLED: "Withdrawn",
  PENDING: "No longer asks you",
};

const area = document.getElementById("inbox");
const pill = document.getElementById("new-pill");
const announcer = document.getElementById("announcer");
const statuses = new Map();
let waiting = null; // the newest list, not shown yet
let timer = null;
let running = false;
let again = false;

const listOf = (root) => root.querySelector("[data-list]");
const rowsOf = (root) => [...(listOf(root)?.children ?? [])];
const isBusy = () => area.matches(":hover") || window.scrollY > TOP;

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
    const page = await load(area.dataset.fragment + location.search);
    if (page) take(page.getElementById("inbox"));
  } finally {
    running = false;
    if (again) {
      again = false;
      soon();
    }
  }
}

function take(fresh) {
  count(fresh.dataset);
  const known = new Set(rowsOf(area).map((row) => row.id));
  const arrived = rowsOf(fresh).filter((row) => !known.has(row.id));
  tell(arrived);
  if (isBusy()) {
    waiting = fresh;
    refreshInPlace(fresh);
    pill.hidden = !arrived.length;
    pill.querySelector("[data-number]").textContent = arrived.length;
  } else {
    show(fresh);
  }
}

function count({ mine, all, title }) {
  document.title = title;
  for (const element of document.querySelectorAll("[data-count-of]")) {
    const value = element.dataset.countOf === "all" ? all : mine;
    element.querySelector("[data-number]").textContent = value;
    element.hidden = value === "0";
  }
}

const told = new Set(rowsOf(area).map((row) => row.id));

function tell(arrived) {
  const news = arrived.filter((row) => !told.has(row.id));
  if (!news.length) return;
  news.forEach((row) => told.add(row.id));
  const title = news[0].querySelector("[data-row]").textContent.trim();
  announcer.textContent =
    news.length === 1 ? `New request: ${title}` : `${news.length} new requests`;
}

function refreshInPlace(fresh) {
  const found = new Map(rowsOf(fresh).map((row) => [row.id, row]));
  for (const row of rowsOf(area)) {
    const newer = found.get(row.id);
    if (!newer) strike(row);
    else if (newer.dataset.version !== row.dataset.version) row.replaceWith(newer.cloneNode(true));
  }
}

function strike(row) {
  if (row.classList.contains("is-gone")) return;
  row.classList.add("is-gone");
  const status = statuses.get(row.id.slice(2)) ?? "PENDING";
  const side = row.querySelector("[data-side]");
  const note = document.createElement("span");
  note.className = "chip";
  note.textContent = WORDS[status] ?? "Approved";
  side.replaceChildren(note);
}

function show(fresh) {
  waiting = null;
  pill.hidden = true;
  const focused = document.activeElement?.closest?.("[data-list] > li")?.id;
  const order = rowsOf(area).map((row) => row.id);
  if (listOf(fresh) && listOf(area)) {
    merge(listOf(area), listOf(fresh), {
      keep: (row) => !row.classList.contains("is-gone"),
      onNew: (row) => row.classList.add("is-new"),
    });
    swap(fresh, "[data-pager]");
  } else {
    area.replaceChildren(...fresh.childNodes);
  }
  if (focused) refocus(focused, order);
}

function swap(fresh, selector) {
  const [was, is] = [area.querySelector(selector), fresh.querySelector(selector)];
  if (was && is) was.replaceWith(is);
  else if (is) area.append(is);
  else was?.remove();
}

function refocus(focused, order) {
  // The row that had the focus keeps it; if it is gone, the next one that is left takes it.
  const at = order.indexOf(focused);
  const left = [focused, ...order.slice(at + 1), ...order.slice(0, at).reverse()];
  const next = left.map((id) => document.getElementById(id)).find(Boolean);
  const target = next?.querySelector("[data-row]") ?? document.getElementById("main");
  if (!target.contains(document.activeElement)) target.focus({ preventScroll: true });
}

document.addEventListener("hitl:changed", ({ detail }) => {
  statuses.set(detail.workflow_id, detail.status);
  soon();
});
document.addEventListener("hitl:resync", soon);
document.addEventListener("hitl:logged-out", () => location.reload());
area.addEventListener("pointerleave", () => {
  if (waiting && window.scrollY <= TOP) show(waiting);
});
pill.addEventListener("click", () => {
  if (waiting) show(waiting);
  window.scrollTo({ top: 0 });
});
