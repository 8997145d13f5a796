"use strict";
// One filter over everything: cells by axes and metrics, images by prompt, metric and mark.
const form = document.getElementById("filter");

// An image knows its cell; both know the text that words are looked for in.
function index(data) {
  data.cells.forEach((cell, number) => {
    cell.number = number;
    cell.text = [cell.label, cell.status, cell.cell_id.slice(0, 12), ...data.axes.flatMap(
      (axis, at) => [`${axis.key}=${axis.values[cell.at[at]]}`, `${axis.title}=${axis.values[cell.at[at]]}`],
    )].join(" ").toLowerCase();
    for (const image of cell.images) {
      image.cell = cell;
      image.key = `${cell.cell_id}/${image.row}`; // the same when a server sends the data again
      image.text = `${cell.text} ${data.prompts[image.prompt].toLowerCase()} seed=${image.seed}`;
    }
  });
}

function rules() {
  const field = (name) => form.elements[name]?.value ?? "";
  const bound = (name, other) => (field(name) === "" ? other : Number(field(name)));
  return {
    words: field("words").toLowerCase().split(/\s+/).filter(Boolean),
    axes: turboLab.data.axes.map((_, at) => field(`axis:${at}`)),
    metric: field("metric"),
    low: bound("low", -Infinity),
    high: bound("high", Infinity),
    marks: field("marks"),
  };
}

const within = (value, { low, high }) => value !== null && value >= low && value <= high;
const hasBounds = ({ metric, low, high }) => metric !== "" && (low > -Infinity || high < Infinity);

function cellPasses(cell, rule) {
  if (!rule.axes.every((value, at) => value === "" || Number(value) === cell.at[at])) return false;
  return !(hasBounds(rule) && rule.metric[0] === "c") || within(cell.values[rule.metric.slice(1)], rule);
}

function imagePasses(image, rule) {
  if (!rule.words.every((word) => image.text.includes(word))) return false;
  if (hasBounds(rule) && rule.metric[0] === "i" &&
    !within(image.scores[rule.metric.slice(1)], rule)) return false;
  const mark = turboLab.marks.of(image);
  if (rule.marks === "kept") return mark !== "reject";
  return rule.marks === "" || (rule.marks === "none" ? mark === null : mark === rule.marks);
}

// Words may name a cell without images; everything else about images needs one that passes.
function passes(rule) {
  const ofImages = rule.marks !== "" || (hasBounds(rule) && rule.metric[0] === "i");
  const shown = new Set();
  for (const cell of turboLab.data.cells) {
    cell.isShown = cellPasses(cell, rule);
    let some = false;
    for (const image of cell.images) {
      image.isShown = cell.isShown && imagePasses(image, rule);
      some ||= image.isShown;
    }
    const named = !ofImages && rule.words.every((word) => cell.text.includes(word));
    cell.isShown &&= some || named;
    if (cell.isShown) shown.add(String(cell.number));
  }
  return shown;
}

turboLab.applyFilter = () => {
  const rule = rules();
  const shown = passes(rule);
  for (const item of document.querySelectorAll("[data-cell]:not(.tile)")) {
    item.classList.toggle("out", !shown.has(item.dataset.cell));
  }
  for (const line of document.querySelectorAll("[data-cells]")) {
    line.classList.toggle("out", !line.dataset.cells.split(" ").some((one) => shown.has(one)));
  }
  const images = turboLab.data.cells.flatMap((cell) => cell.images);
  const left = images.filter((one) => one.isShown);
  const prompts = new Set(left.map((one) => turboLab.data.prompts[one.prompt]));
  const all = left.length === images.length && shown.size === turboLab.data.cells.length;
  for (const row of document.querySelector("table.prompts")?.tBodies[0].rows ?? []) {
    row.classList.toggle("out", !all && !prompts.has(row.cells[0].textContent));
  }
  const count = (part, whole, words) => `${part === whole ? whole : `${part} of ${whole}`} ${words}`;
  form.querySelector("output").textContent = [
    count(shown.size, turboLab.data.cells.length, "cells"),
    count(left.length, images.length, "images"),
  ].join(", ");
  form.classList.toggle("active", !all);
  document.documentElement.classList.toggle("filtered", !all);
  turboLab.pointsChanged();
  document.dispatchEvent(new CustomEvent("filtered"));
};

turboLab.receive = (data) => {
  index(data);
  turboLab.data = data;
};
turboLab.receive(turboLab.data);
form.addEventListener("input", () => turboLab.applyFilter());
form.addEventListener("reset", () => setTimeout(turboLab.applyFilter));
form.addEventListener("submit", (event) => event.preventDefault());
document.addEventListener("click", (event) => {
  if (event.target.closest?.("button.csv")) {
    turboLab.save(`sweep-${turboLab.data.sweep_id.slice(0, 12)}.csv`, turboLab.data.csv, "text/csv");
  }
});
