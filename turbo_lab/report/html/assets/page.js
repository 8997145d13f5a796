"use strict";
// What every page has: elements by name, the theme, tables that sort, and one cell lit up at a time.
const turboLab = (globalThis.turboLab = {});

// An element with properties and children. Text is never read as markup.
turboLab.h = (name, properties = {}, ...children) => {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (key in made && !key.includes("-") && key !== "role") made[key] = value;
    else made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
};

turboLab.save = (name, text, type) => {
  const address = URL.createObjectURL(new Blob([text], { type }));
  turboLab.h("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10000);
};

// Whether a key press belongs to a control that takes text, or to the browser.
turboLab.isTyping = (event) => event.ctrlKey || event.metaKey || event.altKey ||
  Boolean(event.target.closest?.("input:not([type=range]), select, textarea"));

const root = document.documentElement;
for (const button of document.querySelectorAll(".theme")) {
  button.addEventListener("click", () => {
    const dark = root.dataset.theme
      ? root.dataset.theme === "dark"
      : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
  });
}

const key = (row, column) => row.cells[column].dataset.value ?? row.cells[column].textContent;

function compare(x, y, sign) {
  // What has no value comes last, whichever way the table is sorted.
  if (x === "" || y === "") return (x === "") - (y === "");
  const [p, q] = [Number(x), Number(y)];
  return sign * (Number.isNaN(p) || Number.isNaN(q) ? x.localeCompare(y) : p - q);
}

function sort(th, order) {
  const table = th.closest("table");
  for (const head of table.querySelectorAll("th")) head.removeAttribute("aria-sort");
  th.setAttribute("aria-sort", order);
  const body = table.tBodies[0];
  const column = th.cellIndex;
  const sign = order === "ascending" ? 1 : -1;
  body.append(...[...body.rows].sort((a, b) => compare(key(a, column), key(b, column), sign)));
}

document.addEventListener("click", (event) => {
  const th = event.target.closest?.("table.sortable th button")?.closest("th");
  if (!th) return;
  const first = th.dataset.first ?? "ascending";
  const other = first === "ascending" ? "descending" : "ascending";
  sort(th, th.getAttribute("aria-sort") === first ? other : first);
});

// <form data-for="ID">: words over the rows of a table body; what else carries the data-cell of a
// hidden row is hidden with it.
for (const form of document.querySelectorAll("form[data-for]")) {
  const rows = [...document.getElementById(form.dataset.for).rows];
  const words = form.querySelector("input");
  const count = form.querySelector("output");
  const apply = () => {
    const wanted = words.value.toLowerCase().split(/\s+/);
    const shown = new Set();
    for (const row of rows) {
      row.hidden = !wanted.every((word) => row.dataset.text.includes(word));
      if (!row.hidden) shown.add(row.dataset.cell);
    }
    for (const item of document.querySelectorAll("[data-cell]:not(tr)")) {
      item.classList.toggle("out", !shown.has(item.dataset.cell));
    }
    const all = shown.size === rows.length;
    count.textContent = all ? `${rows.length}` : `${shown.size} of ${rows.length}`;
    form.classList.toggle("active", !all);
  };
  form.addEventListener("input", apply);
  form.addEventListener("reset", () => setTimeout(apply));
  form.addEventListener("submit", (event) => event.preventDefault());
}

// What belongs to one cell lights up together.
let hot = null;
function light(event) {
  const at = event.target.closest?.("[data-cell]")?.dataset.cell ?? null;
  if (at === hot) return;
  for (const item of document.querySelectorAll(".hot")) item.classList.remove("hot");
  if (at !== null) {
    const same = document.querySelectorAll(`[data-cell="${CSS.escape(at)}"]:not(.tile)`);
    for (const item of same) item.classList.add("hot");
  }
  hot = at;
}
document.addEventListener("mouseover", light);
document.addEventListener("focusin", light);

// A dialog closes by its button, by a click outside and by Escape, and gives the focus back.
turboLab.dialog = (label, ...children) => {
  const made = turboLab.h("dialog", { "aria-label": label }, ...children);
  made.addEventListener("click", (event) => { if (event.target === made) made.close(); });
  document.body.append(made);
  return made;
};
