// Short messages in a corner. Errors stay until closed; the rest leave by themselves.
// Others ask for one with: document.dispatchEvent(new CustomEvent("hitl:toast", { detail: "Saved" }))
const SECONDS = 7;
const region = document.getElementById("toasts");

function watch(card) {
  if (!card.hasAttribute("data-sticky")) setTimeout(() => leave(card), SECONDS * 1000);
}

function leave(card) {
  // Not from under a pointer or a keyboard that is just about to use it.
  if (card.matches(":hover, :focus-within")) setTimeout(() => leave(card), 2000);
  else card.remove();
}

document.addEventListener("hitl:toast", (event) => {
  const card = document.createElement("div");
  card.className = "toast-card";
  const text = document.createElement("p");
  text.textContent = event.detail;
  card.append(text);
  region?.append(card);
  watch(card);
});

document.addEventListener("click", (event) => {
  event.target.closest("[data-dismiss]")?.closest("[data-toast]")?.remove();
});

region?.querySelectorAll("[data-toast]").forEach(watch);
