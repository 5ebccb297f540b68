// Fetches a fragment of the page one is on; null when there is nothing to show now.
export async function load(address) {
  let response;
  try {
    response = await fetch(address, { cache: "no-store" });
  } catch {
    document.dispatchEvent(new CustomEvent("hitl:unreachable"));
    return null;
  }
  if (response.redirected || response.status === 404) {
    location.reload(); // logged out, or no longer a member: the server says which
    return null;
  }
  if (!response.ok) return null; // the server's trouble: the next reading may get past it
  return new DOMParser().parseFromString(await response.text(), "text/html");
}
