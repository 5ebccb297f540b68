// Rejecting needs a reason: says so before asking the server, which would say the same.
const MESSAGE = "Say why, so that the agent can do better.";

document.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-needs-reason]");
  if (!button) return;
  const field = button.form?.elements.comment;
  if (!field) return;
  field.setCustomValidity(field.value.trim() ? "" : MESSAGE);
  if (!field.reportValidity()) event.preventDefault();
});

document.addEventListener("input", (event) => {
  if (event.target.name === "comment") event.target.setCustomValidity("");
});
