// The keyboard: j k Enter o in lists, a e r on a request, / ? and g-something everywhere.
// Keys never decide: a and r only move to the buttons. Single keys can be switched off (WCAG 2.1.4).
const STORE = "hitl-keys";
const dialog = document.getElementById("shortcuts");
const toggle = document.getElementById("shortcuts-on");

const isOn = () => {
  try {
    return localStorage.getItem(STORE) !== "off";
  } catch {
    return true;
  }
};

function remember(on) {
  try {
    localStorage.setItem(STORE, on ? "on" : "off");
  } catch {
    // Not remembered, but it holds for this page.
  }
}

if (toggle) {
  toggle.checked = isOn();
  toggle.addEventListener("change", () => remember(toggle.checked));
}

const rows = () => [...document.querySelectorAll("[data-row]")];

function step(by) {
  const all = rows();
  if (!all.length) return;
  const at = all.indexOf(document.activeElement);
  const next = at < 0 ? (by > 0 ? 0 : all.length - 1) : Math.min(Math.max(at + by, 0), all.length - 1);
  all[next].focus();
  all[next].closest("li")?.scrollIntoView({ block: "nearest" });
}

function reach(name) {
  const target = document.querySelector(`[data-key="${name}"]`);
  if (!target) return;
  target.focus();
  target.scrollIntoView({ block: "nearest" });
}

function follow(name) {
  document.querySelector(`a[data-key="${name}"]`)?.click();
}

function search() {
  const field = document.querySelector('input[type="search"]');
  field?.closest("details")?.setAttribute("open", "");
  field?.focus();
  field?.select();
}

function busy(event) {
  const target = event.target;
  return (
    event.defaultPrevented ||
    event.isComposing ||
    target.isContentEditable ||
    target.closest?.("input:not([type=checkbox], [type=radio]), textarea, select, dialog[open]")
  );
}

const when = (action) => (event) => {
  if (!isOn() || busy(event)) return;
  event.preventDefault();
  action();
};

const go = (name) => () => document.querySelector(`[data-go="${name}"]`)?.click();

self.tinykeys?.tinykeys(window, {
  j: when(() => step(1)),
  k: when(() => step(-1)),
  o: when(() => document.activeElement?.matches("[data-row]") && document.activeElement.click()),
  a: when(() => reach("approve")),
  r: when(() => reach("reject")),
  e: when(() => follow("edit")),
  n: when(() => follow("next")),
  "/": when(search),
  "Shift+?": when(() => dialog?.showModal()),
  "?": when(() => dialog?.showModal()),
  "g i": when(go("inbox")),
  "g h": when(go("history")),
});

document.addEventListener("click", (event) => {
  if (event.target.closest("[data-shortcuts]")) dialog?.showModal();
  // A click beside an open menu closes it, as does Escape below.
  for (const menu of document.querySelectorAll("details[data-menu][open]")) {
    if (!menu.contains(event.target)) menu.open = false;
  }
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const menu of document.querySelectorAll("details[data-menu][open]")) {
    menu.open = false;
    menu.querySelector("summary").focus();
  }
});
