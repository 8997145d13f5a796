"use strict";
// The points of a plot say their values when pointed at or focused; arrow keys walk over them.
const tip = turboLab.h("div", { id: "tip", role: "tooltip", hidden: true });
document.body.append(tip);

let shown = null;

function show(mark) {
  shown = mark;
  tip.textContent = mark.dataset.tip;
  tip.hidden = false;
  const box = mark.querySelector("circle").getBoundingClientRect();
  const width = tip.offsetWidth;
  const left = Math.min(Math.max(4, box.x + box.width / 2 - width / 2), innerWidth - width - 4);
  const above = box.y - tip.offsetHeight - 8;
  tip.style.left = `${left}px`;
  tip.style.top = `${above > 4 ? above : box.bottom + 8}px`;
}
const hide = () => { [shown, tip.hidden] = [null, true]; };
const markOf = (event) => event.target.closest?.("[data-tip]");
for (const name of ["mouseover", "focusin"]) {
  document.addEventListener(name, (event) => {
    const mark = markOf(event);
    if (mark) show(mark);
    else hide();
  });
}
// A point that gets the focus may have to be scrolled to.
document.addEventListener("scroll", () => {
  if (shown !== null && shown === document.activeElement) show(shown);
  else hide();
}, { passive: true });

const visible = (chart) => [...chart.querySelectorAll("[data-tip]:not(.out)")];

// One point per plot is a tab stop.
turboLab.pointsChanged = () => {
  for (const chart of document.querySelectorAll("svg.chart")) {
    for (const mark of chart.querySelectorAll("[data-tip]")) mark.setAttribute("tabindex", "-1");
    visible(chart)[0]?.setAttribute("tabindex", "0");
  }
};
turboLab.pointsChanged();

document.addEventListener("keydown", (event) => {
  const mark = markOf(event);
  const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  if (!mark) return;
  if (event.key === "Escape") hide();
  if (!by) return;
  event.preventDefault();
  const marks = visible(mark.closest("svg"));
  const next = marks[(marks.indexOf(mark) + by + marks.length) % marks.length];
  mark.setAttribute("tabindex", "-1");
  next.setAttribute("tabindex", "0");
  next.focus();
});
