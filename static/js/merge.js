// Makes a list's rows those of a fresher list, by id. Rows whose data-version is the same stay the very
// elements they were, with focus, opened details and animations; nothing is moved without need.
export function merge(list, fresh, { keep = () => true, onNew = () => {} } = {}) {
  const known = new Map([...list.children].map((row) => [row.id, row]));
  const rows = [...fresh.children].map((row) => {
    const old = known.get(row.id);
    if (!old) onNew(row);
    return old && old.dataset.version === row.dataset.version && keep(old) ? old : row;
  });
  const staying = new Set(rows);
  for (const row of known.values()) if (!staying.has(row)) row.remove();
  let place = list.firstElementChild;
  for (const row of rows) {
    if (row === place) place = place.nextElementSibling;
    else list.insertBefore(row, place);
  }
}
