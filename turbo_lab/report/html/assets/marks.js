"use strict";
// Favourites and rejects: kept in the browser by sweep, and exported as a selection.
const data = JSON.parse(document.getElementById("data").textContent);
turboLab.data = data;
const place = `turbo-lab:${data.sweep_id}`;
const kinds = ["favourite", "reject"];
let isKept = true;

// A browser may refuse storage: for a file, in private windows, or when it is full.
function load() {
  try {
    const found = JSON.parse(localStorage.getItem(place) ?? "{}");
    return new Map(Object.entries(found ?? {}).filter(([, kind]) => kinds.includes(kind)));
  } catch {
    isKept = false;
    return new Map();
  }
}
const marks = load();

function keep() {
  try {
    localStorage.setItem(place, JSON.stringify(Object.fromEntries(marks)));
  } catch {
    isKept = false;
  }
}
keep();

turboLab.marks = {
  get isKept() { return isKept; },
  of: (image) => marks.get(image.key) ?? null,
  toggle(image, kind) {
    if (marks.get(image.key) === kind) marks.delete(image.key);
    else marks.set(image.key, kind);
    keep();
    document.dispatchEvent(new CustomEvent("marked", { detail: image }));
  },
  // Marks of images that the page shows; it may show fewer than before.
  count: (kind) => turboLab.data.cells.flatMap((cell) => cell.images.filter(
    (one) => marks.get(one.key) === kind,
  )).length,
  // The document that cells=FILE reads. Only images of this page count.
  selection() {
    const chosen = (kind) => turboLab.data.cells.flatMap((cell) => {
      const images = cell.images.filter((one) => marks.get(one.key) === kind);
      if (!images.length) return [];
      return [{
        cell_id: cell.cell_id,
        axes: cell.axes,
        images: images.map((one) => ({
          prompt: turboLab.data.prompts[one.prompt],
          seed: one.seed,
          pixel_sha256: one.sha256,
        })),
      }];
    });
    return {
      schema: data.schema,
      turbo_lab: data.version,
      kind: "turbo-lab-selection",
      sweep_id: data.sweep_id,
      store: data.store,
      favourites: chosen("favourite"),
      rejects: chosen("reject"),
    };
  },
};
