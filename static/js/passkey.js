// A form with data-passkey ("get" or "create") asks the browser for a passkey before it is sent.
// The options come with the page, the answer goes back in the field `credential`.
const form = document.querySelector("form[data-passkey]");

const REASONS = {
  InvalidStateError: "This device already has a passkey here.",
  NotAllowedError: "That was cancelled, or took too long. Try again.",
  SecurityError: "Passkeys do not work at this address: open the page at the server’s own address.",
};

function tell(text) {
  const place = form.querySelector("[data-passkey-error]");
  place.textContent = text;
  place.hidden = false;
}

async function ask(event) {
  if (form.elements.credential.value) return; // it is on its way
  event.preventDefault();
  const button = form.querySelector("[type=submit]");
  button.disabled = true;
  try {
    const options = JSON.parse(form.dataset.options);
    const credential = await window.webauthnJSON[form.dataset.passkey](options);
    form.elements.credential.value = JSON.stringify(credential);
    form.requestSubmit();
  } catch (error) {
    tell(REASONS[error.name] ?? "The passkey could not be used. Try again, or use a code.");
  } finally {
    button.disabled = false;
  }
}

if (form && window.PublicKeyCredential) {
  form.addEventListener("submit", ask);
} else if (form) {
  form.querySelector("[type=submit]").disabled = true;
  tell("Passkeys need https and a recent browser.");
}
