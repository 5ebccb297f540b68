// The watchdog's banner, read again whenever the page looks for what it may have missed.
import { load } from "./load.js";

const shown = () => document.getElementById("watch");
let asking = false;

document.addEventListener("hitl:resync", async () => {
  if (asking) return;
  asking = true;
  try {
    const found = (await load(shown().dataset.watch))?.getElementById("watch");
    // An alarm that still stands is left alone: a reader aloud would repeat it each time.
    if (found && found.innerHTML !== shown().innerHTML) shown().replaceWith(found);
  } finally {
    asking = false;
  }
});
