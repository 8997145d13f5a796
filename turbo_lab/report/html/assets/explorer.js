"use strict";
// One image large with its recipe, favourites and rejects, messages, and the list of keys.
const { h, marks, tiles } = turboLab;
const { addressOf, isTiny, shownImages, tileFor, wordsOf } = tiles;
const notice = document.getElementById("notice");

// ---- keyboard

document.addEventListener("keydown", (event) => {
  if (turboLab.isTyping(event)) return;
  const image = turboLab.viewed()?.image ?? event.target.closest?.(".tile")?.image;
  const kind = { f: "favourite", x: "reject" }[event.key];
  if (kind && image) marks.toggle(image, kind);
  else if (event.key === "p" && image && !turboLab.viewed()) pinTile(image);
  else if (event.key === "?") help.showModal();
  else if (event.key === "/" && !document.querySelector("dialog[open]")) {
    event.preventDefault();
    document.querySelector("#filter input").focus();
  }
});

function pinTile(image) {
  turboLab.pin(itemOf(image));
  say(`Pinned: ${wordsOf(image)}. Open another image to compare the two.`);
}

// ---- one image large

const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;
const link = (image) => {
  if (turboLab.isServed) return `full/${image.sha256}`;
  const path = encodeURI(image.file).replaceAll("#", "%23").replaceAll("?", "%3F");
  return location.protocol === "file:" && image.file.startsWith("/") ? `file://${path}` : null;
};

function itemOf(image) {
  const { data } = turboLab;
  const { cell } = image;
  const scores = data.image_metrics.map((metric, at) => image.scores[at] === null ? null
    : `${metric.title} ${image.scores[at].toFixed(3)}`);
  const about = [cell.label, `seed ${image.seed}`, `${image.width} × ${image.height}`, ...scores,
    image.source_name && `from ${image.source_name}`,
    image.flagged === null ? null : image.flagged ? "flagged by the safety checker" : "not flagged"];
  const settings = Object.entries(cell.settings).map(([name, value]) =>
    h("div", {}, h("dt", {}, name), h("dd", {}, value)));
  return {
    image, src: addressOf(image), title: data.prompts[image.prompt],
    name: `${cell.label} · seed ${image.seed}`,
    isTiny: isTiny(image), overlay: image.source === null ? null : data.sources[image.source],
    lines: [about.filter(Boolean).join(" · "), `pixels sha256 ${image.sha256}`,
      ...(data.is_exact ? [] : ["This page has a thumbnail: differences are those of thumbnails."])],
    commands: commandsOf(image).filter(([, line]) => !ACTED_UPON.test(line)),
    link: link(image),
    details: h("details", {}, h("summary", {}, "all settings"), h("dl", {}, ...settings)),
  };
}
// What a terminal would act upon when it is pasted.
const ACTED_UPON = /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/;

function commandsOf(image) {
  const { data } = turboLab;
  const { cell } = image;
  const words = [quoted(data.prompts[image.prompt]), ...cell.words, `seed=${image.seed}`];
  const record = cell.record_id.slice(0, 16);
  return [
    ["draw this image", `turbo-lab generate ${words.join(" ")}`],
    ["draw its cell again and compare", `turbo-lab reproduce ${record} store=${shell(data.store)}`],
  ];
}
const shell = (text) => (/^[\w./@+:-]+$/.test(text) ? text : quoted(text));

// Left and right: the next image as it is arranged. Up and down: the same image of another cell.
function move(direction, { image }) {
  const by = direction === "ArrowRight" || direction === "ArrowDown" ? 1 : -1;
  const same = (one) => one.prompt === image.prompt && one.seed === image.seed;
  const list = direction === "ArrowLeft" || direction === "ArrowRight"
    ? tiles.arranged()
    : shownImages().filter(same);
  const at = list.findIndex(({ key }) => key === image.key);
  const next = list[(at + by + list.length) % list.length];
  return next ? itemOf(next) : null;
}

// The image to compare with, if none is pinned: the same one of the cell before.
function partner({ image }) {
  const same = shownImages().filter((one) => one.prompt === image.prompt && one.seed === image.seed);
  const other = same[same.findIndex(({ key }) => key === image.key) - 1] ?? same[1] ?? same[0];
  return other ? itemOf(other) : null;
}

const markButton = (image, kind, sign) => h("button", {
  type: "button", "aria-pressed": String(marks.of(image) === kind), "aria-label": kind,
  title: `${kind} (${kind === "favourite" ? "f" : "x"})`, onclick: () => marks.toggle(image, kind),
}, sign);

function open(image) {
  turboLab.view(itemOf(image), {
    move, partner,
    buttons: ({ image: one }) => [markButton(one, "favourite", "★"), markButton(one, "reject", "✕")],
    closed: ({ image: last }) => tileFor(last)?.focus(),
  });
}

document.addEventListener("click", (event) => {
  const tile = event.target.closest?.(".tile");
  if (tile) open(tile.image);
});

// ---- marks and messages

function say(words) {
  notice.textContent = words;
  notice.hidden = !words;
}

function count() {
  const [favourites, rejects] = ["favourite", "reject"].map(marks.count);
  document.getElementById("marked").textContent = `★ ${favourites}  ✕ ${rejects}`;
  document.getElementById("export").disabled = favourites + rejects === 0;
  if (!marks.isKept && favourites + rejects > 0) {
    say("This browser keeps no marks for this page: export them before you close it.");
  }
}

document.addEventListener("marked", ({ detail }) => {
  tiles.repaint(detail);
  if (document.querySelector("#filter [name=marks]").value) turboLab.applyFilter();
  count();
  turboLab.redraw();
});
document.getElementById("export").addEventListener("click", () => {
  const name = `selection-${turboLab.data.sweep_id.slice(0, 12)}.json`;
  turboLab.save(name, `${JSON.stringify(marks.selection(), null, 1)}\n`, "application/json");
  const words = `turbo-lab sweep cells=${name} store=${shell(turboLab.data.store)}`;
  const again = marks.count("favourite") ? ` Run the favourites again with: ${words}` : "";
  say(`Saved ${name}.${again}`);
});

const KEYS = [
  ["arrows", "move between images, tabs and points of a plot"], ["Enter", "open the image"],
  ["f", "favourite, or no longer"], ["x", "reject, or no longer"],
  ["p", "pin an image, to compare others with it"], ["/", "filter"], ["?", "this list"],
  ["← →", "open image: previous or next image"],
  ["↑ ↓", "open image: the same prompt and seed in another cell"],
  ["1 to 5", "open image: one, side by side, slider, blink, difference"], ["Escape", "close"],
];
const help = turboLab.dialog("keys", h("dl", { className: "keys-list" }, ...KEYS.map(([key, words]) =>
  h("div", {}, h("dt", {}, h("kbd", {}, key)), h("dd", {}, words)))));
document.getElementById("keys").addEventListener("click", () => help.showModal());

// ---- start

function missing() {
  const short = turboLab.data.cells.filter((cell) => cell.images.length < cell.num_images);
  if (!short.length) return "";
  const [first] = short;
  return `${first.images.length} of ${first.num_images} images per cell are on this page.`;
}

turboLab.start = () => {
  tiles.restart();
  count();
  turboLab.applyFilter();
};
say(missing());
turboLab.start();
