"use strict";
const root = document.documentElement;
for (const button of document.querySelectorAll(".theme")) {
  button.addEventListener("click", () => {
    const dark = root.dataset.theme
      ? root.dataset.theme === "dark"
      : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
  });
}
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  table.querySelectorAll("th button").forEach((button) => {
    button.addEventListener("click", () => {
      const th = button.closest("th");
      const column = th.cellIndex;
      const up = th.getAttribute("aria-sort") !== "ascending";
      table.querySelectorAll("th").forEach((other) => other.removeAttribute("aria-sort"));
      th.setAttribute("aria-sort", up ? "ascending" : "descending");
      const value = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent;
      const rows = [...body.rows].sort((a, b) => {
        const [x, y] = [value(a), value(b)];
        if (x === "" || y === "") return (x === "") - (y === "");
        const [p, q] = [Number(x), Number(y)];
        const order = Number.isNaN(p) || Number.isNaN(q) ? x.localeCompare(y) : p - q;
        return up ? order : -order;
      });
      body.append(...rows);
    });
  });
}
for (const input of document.querySelectorAll("input.filter")) {
  const scope = document.getElementById(input.getAttribute("aria-controls"));
  input.addEventListener("input", () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const item of scope.querySelectorAll("[data-text]")) {
      item.hidden = !words.every((word) => item.dataset.text.toLowerCase().includes(word));
    }
  });
}
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
const dialog = document.querySelector("dialog");
if (dialog) {
  const thumbs = [...document.querySelectorAll(".thumbs button")];
  let at = 0;
  const show = (index) => {
    const shown = thumbs.filter((thumb) => !thumb.closest("[hidden]"));
    if (!shown.length) return;
    at = (index + shown.length) % shown.length;
    dialog.querySelector("img").src = shown[at].querySelector("img").src;
    dialog.querySelector("p").textContent = shown[at].querySelector("img").alt;
  };
  thumbs.forEach((thumb) => thumb.addEventListener("click", () => {
    show(thumbs.filter((other) => !other.closest("[hidden]")).indexOf(thumb));
    dialog.showModal();
  }));
  dialog.addEventListener("keydown", (event) => {
    if (event.key === "ArrowRight") show(at + 1);
    if (event.key === "ArrowLeft") show(at - 1);
  });
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
}
