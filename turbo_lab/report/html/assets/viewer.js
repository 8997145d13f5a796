"use strict";
// One image large, or two of them: side by side, under a slider, blinking, or their difference.
//
// turboLab.view(item, options) opens it. An item has src, title, name, lines (texts), commands (pairs
// of words and command), isTiny, link and other: the item to compare it with at once. options.move
// returns the item in a direction, options.partner one to compare with, options.buttons elements.
const { h } = turboLab;
const MODES = ["one", "side by side", "slider", "blink", "difference"];
let [current, pinned, options, mode] = [null, null, {}, "one"];

const stage = h("div", { className: "stage" });
const text = h("div", { className: "about" });
const extra = h("span", { className: "extra" });
const choice = h("select", { ariaLabel: "how images are shown", onchange: () => set(choice.value) },
  ...MODES.map((name) => h("option", { value: name }, name)));
const button = (words, label, act) =>
  h("button", { type: "button", title: label, ariaLabel: label, onclick: act }, words);
const steps = [
  button("←", "previous image", () => go("ArrowLeft")),
  button("→", "next image", () => go("ArrowRight")),
  button("↑", "same prompt, previous cell", () => go("ArrowUp")),
  button("↓", "same prompt, next cell", () => go("ArrowDown")),
];
const pin = button("pin", "compare the next images with this one (p)", () => hold());
const close = button("close", "close (Escape)", () => dialog.close());
close.className = "close";
const bar = h("div", { className: "moves" }, ...steps, choice, pin, extra, close);
const dialog = turboLab.dialog("image", bar, stage, text);
dialog.classList.add("viewer");

const picture = (item) =>
  h("img", { src: item.src, alt: item.title, className: item.isTiny ? "tiny" : "" });
const figure = (item) => h("figure", {}, picture(item), h("figcaption", {}, item.name));
const caption = (words) => h("p", { className: "soft between" }, words);

function layered(kind) {
  return h("div", { className: `layers ${kind}` }, picture(pinned), picture(current));
}

const shows = {
  one: () => [picture(current), current.overlay
    ? h("img", { src: current.overlay, alt: "source image", className: "source" }) : null],
  "side by side": () => [h("div", { className: "sides" }, figure(pinned), figure(current))],
  slider() {
    const layers = layered("cut");
    const slider = h("input", {
      type: "range", className: "slider", value: 50, ariaLabel: "pinned image on the left",
      oninput: () => layers.style.setProperty("--cut", `${slider.value}%`),
    });
    return [layers, slider, caption(`${pinned.name} | ${current.name}`)];
  },
  blink: () => [layered("blink"), caption(`${pinned.name} ⇄ ${current.name}`)],
  difference() {
    const canvas = h("canvas", { role: "img", className: current.isTiny ? "tiny" : "" });
    const words = caption("…");
    turboLab.difference(pinned.src, current.src, canvas).then((found) => {
      words.textContent = `${pinned.name} − ${current.name}: ${found}`;
      canvas.setAttribute("aria-label", words.textContent);
    });
    return [canvas, words];
  },
};

// Draw the largest difference over the channels, from black to yellow, and return its size in words.
turboLab.difference = async (first, second, canvas) => {
  const [a, b] = await Promise.all([first, second].map(pixels));
  if (a.width !== b.width || a.height !== b.height) return "the images differ in size";
  const apart = new Uint8Array(a.width * a.height);
  let [most, changed] = [0, 0];
  for (let at = 0; at < apart.length; at += 1) {
    for (let channel = 4 * at; channel < 4 * at + 3; channel += 1) {
      apart[at] = Math.max(apart[at], Math.abs(a.data[channel] - b.data[channel]));
    }
    most = Math.max(most, apart[at]);
    changed += apart[at] > 0;
  }
  const drawn = new ImageData(a.width, a.height);
  for (let at = 0; at < apart.length; at += 1) {
    const share = apart[at] / Math.max(1, most);
    drawn.data.set([Math.min(1, 2 * share), Math.max(0, 2 * share - 1), 0.25 * share, 1]
      .map((part) => Math.round(255 * part)), 4 * at);
  }
  [canvas.width, canvas.height] = [a.width, a.height];
  canvas.getContext("2d").putImageData(drawn, 0, 0);
  if (most === 0) return "no difference";
  const share = Number((100 * changed / apart.length).toPrecision(2));
  return `up to ${most} ${most === 1 ? "level" : "levels"} in ${share}% of the pixels`;
};

async function pixels(address) {
  const image = new Image();
  image.src = address;
  await image.decode();
  const canvas = h("canvas", { width: image.naturalWidth, height: image.naturalHeight });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  return context.getImageData(0, 0, canvas.width, canvas.height);
}

function command([words, line]) {
  const copy = h("button", { type: "button", onclick: () => turboLab.copy(line, copy) }, "copy");
  return h("div", { className: "command" }, h("span", { className: "soft" }, words),
    h("code", {}, line), copy);
}

// The clipboard needs a secure page; a file is none in every browser.
turboLab.copy = async (line, copy) => {
  try {
    await navigator.clipboard.writeText(line);
  } catch {
    const area = h("textarea", { value: line });
    dialog.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  copy.textContent = "copied";
  setTimeout(() => { copy.textContent = "copy"; }, 1500);
};

function draw() {
  if (mode !== "one" && !pinned) mode = "one";
  choice.value = mode;
  stage.dataset.mode = mode;
  stage.replaceChildren(...shows[mode]().filter(Boolean));
  const file = current.link
    && h("a", { href: current.link, target: "_blank", rel: "noopener" }, "full size");
  const link = file && h("p", { className: "soft" }, file);
  text.replaceChildren(h("p", { className: "prompt" }, current.title), ...(current.lines ?? [])
    .map((line) => h("p", { className: "soft" }, line)), ...(current.commands ?? []).map(command),
    ...[link, current.details ?? null].filter(Boolean));
  const at = [...extra.children].indexOf(document.activeElement);
  extra.replaceChildren(...(options.buttons?.(current) ?? []));
  // Keys reach the dialog only while the focus is in it.
  if (at >= 0) extra.children[at]?.focus();
  else if (dialog.open && !dialog.contains(document.activeElement)) steps[1].focus();
}

function set(name) {
  if (name !== "one" && !pinned) pinned = options.partner?.(current) ?? null;
  mode = pinned || name === "one" ? name : "one";
  draw();
}

function hold() {
  pinned = current;
  pin.setAttribute("aria-pressed", "true");
  if (mode === "one") mode = "side by side";
  draw();
}

function go(direction) {
  current = options.move?.(direction, current) ?? current;
  if (current.other !== undefined) pinned = current.other;
  draw();
}

turboLab.view = (item, given = {}) => {
  [current, options] = [item, given];
  pinned = item.other ?? pinned;
  if (item.other) mode = "slider";
  else if (pinned) mode = "side by side";
  pin.setAttribute("aria-pressed", String(pinned !== null));
  pin.hidden = item.other !== undefined;
  draw();
  if (!dialog.open) dialog.showModal();
};
turboLab.redraw = () => { if (dialog.open) draw(); };
turboLab.pin = (item) => { pinned = item; };
turboLab.viewed = () => (dialog.open ? current : null);

dialog.addEventListener("keydown", (event) => {
  if (event.target.matches("input, select, textarea") || event.ctrlKey || event.metaKey) return;
  if (event.key.startsWith("Arrow") && options.move) {
    event.preventDefault();
    go(event.key);
  } else if (event.key === "p" && !pin.hidden) hold();
  else if (/^[1-5]$/.test(event.key)) set(MODES[event.key - 1]);
});
dialog.addEventListener("close", () => {
  [pinned, mode] = [null, "one"];
  options.closed?.(current);
});
