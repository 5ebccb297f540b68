// Counts the deadline down: <… data-countdown="ISO time" data-now="the server's time when it wrote">.
const SOON = 3600;
const URGENT = 600;
const skews = new WeakMap(); // element → how far the server's clock is ahead of this one, in ms

function say(seconds) {
  const left = Math.max(0, Math.floor(seconds));
  const [days, hours] = [Math.floor(left / 86400), Math.floor((left % 86400) / 3600)];
  const minutes = Math.floor((left % 3600) / 60);
  if (days) return `${days} d ${hours} h`;
  if (hours) return `${hours} h ${String(minutes).padStart(2, "0")} min`;
  return `${minutes}:${String(left % 60).padStart(2, "0")} min`;
}

function skewOf(element) {
  if (!skews.has(element)) skews.set(element, Date.parse(element.dataset.now) - Date.now());
  return skews.get(element);
}

function tick() {
  for (const element of document.querySelectorAll("[data-countdown]")) {
    const now = Date.now() + skewOf(element);
    const left = (Date.parse(element.dataset.countdown) - now) / 1000;
    const target = element.querySelector("[data-left]");
    const text = left > 0 ? say(left) : element.dataset.over;
    if (target.textContent !== text) target.textContent = text;
    element.classList.toggle("due-soon", left > URGENT && left <= SOON);
    element.classList.toggle("due-urgent", left > 0 && left <= URGENT);
    element.classList.toggle("due-over", left <= 0);
  }
}

tick();
setInterval(tick, 1000);
