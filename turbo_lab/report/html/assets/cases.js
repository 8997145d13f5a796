"use strict";
// j and k walk from one failing case to the next.
const cases = [...document.querySelectorAll("section.case")];
let current = -1;
document.addEventListener("keydown", (event) => {
  if (turboLab.isTyping(event) || document.querySelector("dialog[open]")) return;
  const by = { j: 1, k: -1 }[event.key];
  const shown = cases.filter((item) => !item.matches(".out"));
  if (!by || !shown.length) return;
  current = Math.min(shown.length - 1, Math.max(0, current + by));
  shown[current].scrollIntoView();
  shown[current].focus({ preventScroll: true });
});
