// Keeps the list of caught messages current: asks again when something changed, and every few
// seconds, since not every message belongs to a change.
import { merge } from "./merge.js";

const EVERY = 5000;
let running = false;

async function read() {
  const area = document.getElementById("sandbox-list");
  if (running || document.visibilityState === "hidden") return;
  running = true;
  try {
    const response = await fetch(area.dataset.fragment, { cache: "no-store" });
    if (response.redirected || response.status === 403) {
      location.reload(); // logged out, or no longer staff: the server says which
      return;
    }
    if (!response.ok) throw new Error(String(response.status));
    take(area, new DOMParser().parseFromString(await response.text(), "text/html"));
  } catch {
    document.dispatchEvent(new CustomEvent("hitl:unreachable"));
  } finally {
    running = false;
  }
}

function take(area, page) {
  const [was, is] = [area, page].map((root) => root.querySelector("[data-list]"));
  if (was) merge(was, is, { onNew: (row) => row.classList.add("is-new") });
  else if (is.children.length) location.reload(); // the first message: the page has another shape
}

document.addEventListener("hitl:changed", read);
document.addEventListener("hitl:resync", read);
setInterval(read, EVERY);
