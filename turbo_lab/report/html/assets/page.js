"use strict";
// The theme, tables that sort, and one filter over everything that belongs to a row.
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

for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  for (const button of table.querySelectorAll("th button")) {
    button.addEventListener("click", () => {
      const th = button.closest("th");
      const first = th.dataset.first ?? "ascending";
      const other = first === "ascending" ? "descending" : "ascending";
      const order = th.getAttribute("aria-sort") === first ? other : first;
      for (const head of table.querySelectorAll("th")) head.removeAttribute("aria-sort");
      th.setAttribute("aria-sort", order);
      const column = th.cellIndex;
      const sign = order === "ascending" ? 1 : -1;
      body.append(...[...body.rows].sort((a, b) => compare(key(a, column), key(b, column), sign)));
    });
  }
}

// <form class="filter" data-for="ID">: words and selects over the rows of a table body; whatever
// else carries the data-cell of a hidden row is hidden with it.
for (const form of document.querySelectorAll("form.filter")) {
  const rows = [...document.getElementById(form.dataset.for).rows];
  const words = form.querySelector("input");
  const selects = [...form.querySelectorAll("select")];
  const count = form.querySelector("output");
  const matches = (row) =>
    words.value.toLowerCase().split(/\s+/).every((word) => row.dataset.text.includes(word)) &&
    selects.every((s) => s.value === "" || JSON.parse(row.dataset.axes)[s.name] === s.value);
  const apply = () => {
    const shown = new Set();
    for (const row of rows) {
      row.hidden = !matches(row);
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
    const same = document.querySelectorAll(`[data-cell="${CSS.escape(at)}"]`);
    for (const item of same) item.classList.add("hot");
  }
  hot = at;
}
document.addEventListener("mouseover", light);
document.addEventListener("focusin", light);
