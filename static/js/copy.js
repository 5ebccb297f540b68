// Copies the text a button names: <button data-copy="text"> or <button data-copy-from="element id">.
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy], [data-copy-from]");
  if (!button) return;
  const text = button.dataset.copy ?? document.getElementById(button.dataset.copyFrom)?.textContent;
  let said = "Copied";
  try {
    await navigator.clipboard.writeText(text.trim());
  } catch {
    said = "Your browser does not let this page copy: select the text instead.";
  }
  document.dispatchEvent(new CustomEvent("hitl:toast", { detail: said }));
});
