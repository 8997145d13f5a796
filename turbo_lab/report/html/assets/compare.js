"use strict";
// Two images on top of each other, and j and k from case to case.
const fill = (target) => {
  for (const layer of target.querySelectorAll("img[data-from]")) {
    const source = document.getElementById(layer.dataset.from);
    layer.src = source.src;
    layer.classList.toggle("tiny", source.classList.contains("tiny"));
  }
};
const seen = new IntersectionObserver((entries) => {
  for (const entry of entries.filter((e) => e.isIntersecting)) {
    fill(entry.target);
    seen.unobserve(entry.target);
  }
}, { rootMargin: "600px" });
for (const target of document.querySelectorAll(".compare")) seen.observe(target);

for (const slider of document.querySelectorAll("input.slider")) {
  const target = document.getElementById(slider.getAttribute("aria-controls"));
  slider.addEventListener("input", () => target.style.setProperty("--cut", `${slider.value}%`));
}
for (const button of document.querySelectorAll("button.blinks")) {
  const target = document.getElementById(button.getAttribute("aria-controls"));
  button.addEventListener("click", () => {
    button.setAttribute("aria-pressed", String(target.classList.toggle("blink")));
  });
}

const cases = [...document.querySelectorAll("section.case")];
let current = -1;
document.addEventListener("keydown", (event) => {
  if (event.target.matches("input, select") || event.ctrlKey || event.metaKey || event.altKey) return;
  const by = { j: 1, k: -1 }[event.key];
  const shown = cases.filter((item) => !item.matches(".out"));
  if (!by || !shown.length) return;
  current = Math.min(shown.length - 1, Math.max(0, current + by));
  shown[current].scrollIntoView();
  shown[current].focus({ preventScroll: true });
});
