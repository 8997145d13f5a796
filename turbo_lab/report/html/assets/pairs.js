"use strict";
// Pairs of images on a page: a click opens both in the viewer; arrow keys go to the next pair.
const pairs = [...document.querySelectorAll("[data-pair]")]
  .map((pair) => [...pair.querySelectorAll("button.opens img")])
  .filter((images) => images.length > 0);

const itemOf = (image, other = null) => ({
  image, other, src: image.src, title: image.closest("[data-pair]").dataset.pair,
  name: image.closest("figure").querySelector("figcaption").textContent,
  isTiny: image.classList.contains("tiny"),
});
// The first image of a pair is on the left.
const pairItem = ([first, second]) => (second ? itemOf(second, itemOf(first)) : itemOf(first));

function move(direction, { image }) {
  const by = direction === "ArrowRight" || direction === "ArrowDown" ? 1 : -1;
  const at = pairs.findIndex((one) => one.includes(image));
  return pairItem(pairs[(at + by + pairs.length) % pairs.length]);
}

document.addEventListener("click", (event) => {
  const image = event.target.closest?.("button.opens")?.querySelector("img");
  if (!image) return;
  turboLab.view(pairItem(pairs.find((one) => one.includes(image))), {
    move, closed: ({ image: last }) => last.closest("button").focus(),
  });
});
