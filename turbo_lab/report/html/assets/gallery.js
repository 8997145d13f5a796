"use strict";
// Images by cell or by prompt, and one of them large: arrow keys walk, Escape closes.
const gallery = document.getElementById("gallery");
const thumbs = [...gallery.querySelectorAll("button.thumb")];
const groups = [...gallery.children];

function arrange(view) {
  gallery.dataset.view = view;
  if (view === "cell") {
    const lists = new Map(groups.map((g) => [g.dataset.cell, g.querySelector(".thumbs")]));
    for (const thumb of thumbs) lists.get(thumb.dataset.cell).append(thumb);
    gallery.replaceChildren(...groups);
    return;
  }
  const rows = new Map();
  for (const thumb of thumbs) {
    if (!rows.has(thumb.dataset.row)) {
      const group = document.createElement("div");
      group.className = "group";
      const title = document.createElement("h3");
      title.textContent = thumb.dataset.prompt;
      const seed = document.createElement("span");
      seed.className = "soft";
      seed.textContent = ` seed ${thumb.dataset.seed}`;
      title.append(seed);
      const list = document.createElement("div");
      list.className = "thumbs";
      group.append(title, list);
      rows.set(thumb.dataset.row, group);
    }
    rows.get(thumb.dataset.row).querySelector(".thumbs").append(thumb);
  }
  gallery.replaceChildren(...rows.values());
}
for (const choice of document.querySelectorAll("input[name=view]")) {
  choice.addEventListener("change", () => arrange(choice.value));
}
const edge = document.getElementById("edge");
edge.addEventListener("input", () => gallery.style.setProperty("--edge", `${edge.value}px`));

const dialog = document.querySelector("dialog");
const [picture] = dialog.getElementsByTagName("img");
const begun = dialog.querySelector(".stage span");
let at = null;

function show(thumb) {
  if (!thumb) return;
  at = thumb;
  const source = thumb.querySelector("img");
  picture.src = source.src;
  picture.alt = source.alt;
  picture.classList.toggle("tiny", source.naturalWidth <= 256);
  begun.hidden = !thumb.dataset.source;
  begun.className = `source ${thumb.dataset.source ?? ""}`;
  dialog.querySelector(".prompt").textContent = thumb.dataset.prompt;
  dialog.querySelector(".about").textContent = thumb.dataset.about;
  dialog.querySelector(".hash").textContent = thumb.dataset.hash;
}

function step(by) {
  const shown = [...gallery.querySelectorAll("button.thumb:not(.out)")];
  show(shown[(shown.indexOf(at) + by + shown.length) % shown.length]);
}

function across(by) {
  // The same prompt and seed in the next cell.
  const same = thumbs.filter((t) => t.dataset.row === at.dataset.row && !t.matches(".out"));
  show(same[(same.indexOf(at) + by + same.length) % same.length]);
}

gallery.addEventListener("click", (event) => {
  const thumb = event.target.closest("button.thumb");
  if (!thumb) return;
  show(thumb);
  dialog.showModal();
});
const moves = {
  ArrowRight: () => step(1), ArrowLeft: () => step(-1),
  ArrowDown: () => across(1), ArrowUp: () => across(-1),
};
dialog.addEventListener("keydown", (event) => {
  if (!(event.key in moves)) return;
  event.preventDefault();
  moves[event.key]();
});
for (const button of dialog.querySelectorAll("[data-move]")) {
  button.addEventListener("click", moves[button.dataset.move]);
}
dialog.querySelector(".close").addEventListener("click", () => dialog.close());
dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
dialog.addEventListener("close", () => at?.focus());
