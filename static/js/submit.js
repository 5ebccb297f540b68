// One click, one answer: buttons of a form that is on its way do nothing more.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.method !== "post") return;
  if (form.dataset.sent) {
    event.preventDefault();
    return;
  }
  form.dataset.sent = "yes";
  // Only after the browser has taken the pressed button's value.
  setTimeout(() => {
    for (const button of form.elements) {
      if (button.type === "submit") button.setAttribute("aria-disabled", "true");
    }
  });
});

window.addEventListener("pageshow", () => {
  for (const form of document.forms) {
    delete form.dataset.sent;
    for (const button of form.elements) button.removeAttribute("aria-disabled");
  }
});
