// The socket: turns hints into events on the document, and says when the line is down.
//   hitl:changed      detail {workflow_id, status, seq}: something about this request is new
//   hitl:resync       hints may be lost: read again
//   hitl:logged-out   the session is over
// Hints can get lost on any line, so the page also asks by itself every POLL_SECONDS.
// Whoever reads and fails says hitl:unreachable: a dead line may look open for minutes.
const POLL_SECONDS = 20;
const FIRST_WAIT = 500;
const LONGEST_WAIT = 20_000;
const STEADY = 10_000; // only a line that held this long is trusted to be tried at once again
const PATIENCE = 1200; // shorter interruptions are nobody's business
const LOGGED_OUT = 4401;

const path = document.body.dataset.socket;
const sign = document.getElementById("live-state");
const words = sign?.querySelector("[data-words]");
const TEXTS = {
  connecting: "Connecting…",
  live: "Live",
  lost: "Reconnecting…",
  out: "Logged out",
};

let socket = null;
let wait = FIRST_WAIT;
let timer = null;
let patience = null;
let steady = null;
let out = false;

function show(state) {
  clearTimeout(patience);
  if (!sign || sign.dataset.state === state) return;
  sign.dataset.state = state;
  words.textContent = TEXTS[state];
}

function showSoon(state) {
  clearTimeout(patience);
  patience = setTimeout(() => show(state), PATIENCE);
}

const announce = (name, detail) => document.dispatchEvent(new CustomEvent(name, { detail }));

function hear(event) {
  const hint = JSON.parse(event.data);
  if (hint.type === "ready") {
    steady = setTimeout(() => (wait = FIRST_WAIT), STEADY);
    show("live");
  }
  if (hint.type === "workflow.changed") announce("hitl:changed", hint);
  else announce("hitl:resync"); // ready or resync: whatever happened before we listened
}

function lost(event) {
  socket = null;
  clearTimeout(steady);
  if (event.code === LOGGED_OUT) {
    out = true;
    show("out");
    announce("hitl:logged-out");
    return;
  }
  showSoon("lost");
  clearTimeout(timer);
  timer = setTimeout(connect, wait * (0.75 + Math.random() / 2));
  wait = Math.min(wait * 2, LONGEST_WAIT);
}

function connect() {
  if (socket || out) return;
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  socket = new WebSocket(`${scheme}//${location.host}${path}`);
  socket.addEventListener("message", hear);
  socket.addEventListener("close", lost);
}

function hurry() {
  if (socket || document.visibilityState === "hidden") return;
  clearTimeout(timer);
  wait = FIRST_WAIT;
  connect();
}

function ask() {
  if (out || (document.visibilityState === "hidden" && socket)) return;
  announce("hitl:resync");
}

if (path) {
  connect();
  setInterval(ask, POLL_SECONDS * 1000);
  window.addEventListener("online", hurry);
  window.addEventListener("offline", () => show("lost"));
  document.addEventListener("visibilitychange", hurry);
  document.addEventListener("hitl:unreachable", () => socket?.close());
}
