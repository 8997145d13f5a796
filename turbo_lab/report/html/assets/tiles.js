"use strict";
// Tiles: any axis on columns, on rows and as tabs, built as they come into view; arrow keys walk.
const { h, marks } = turboLab;
const grid = document.getElementById("grid");
const layout = document.getElementById("layout");
const tabs = document.getElementById("tabs");
const edge = document.getElementById("edge");
const select = (name) => layout.querySelector(`select[name=${name}]`);
const NONE = "none";
const FEW = 12; // columns that fit on a screen
const TINY = 256; // pixels: smaller images are enlarged without smoothing
let [dimensions, tab, current, lanes, observer] = [new Map(), 0, null, [], null];
let [isSized, isArranged] = [false, false]; // by the user

// ---- what an image can be arranged by

function readDimensions() {
  const { data } = turboLab;
  const images = data.cells.flatMap((cell) => cell.images);
  const seeds = [...new Set(images.map((image) => image.seed))].sort((a, b) => a - b);
  const place = new Map(seeds.map((seed, at) => [seed, at]));
  dimensions = new Map(data.axes.map((axis, at) => [axis.key, {
    title: axis.title,
    names: axis.values.map((value) => `${axis.title} ${value}`),
    of: (image) => image.cell.at[at],
  }]));
  dimensions.set("prompt", { title: "prompt", names: data.prompts, of: (image) => image.prompt });
  dimensions.set("seed", {
    title: "seed", names: seeds.map((seed) => `seed ${seed}`), of: (image) => place.get(image.seed),
  });
  dimensions.set("cell", {
    title: "cell", names: data.cells.map((cell) => cell.label), of: (image) => image.cell.number,
  });
}

function offerDimensions() {
  const { axes, prompts } = turboLab.data;
  const keys = axes.map((axis) => axis.key);
  const first = axes.find((axis) => axis.values.length <= FEW)?.key ?? keys[0] ?? NONE;
  const others = keys.filter((key) => key !== first);
  const rows = prompts.length > 1 || !others.length ? "prompt" : others.shift();
  const initial = { columns: first, rows, tabs: others.shift() ?? NONE };
  for (const [name, value] of Object.entries(initial)) {
    const chosen = isArranged ? select(name).value : value;
    select(name).replaceChildren(h("option", { value: NONE }, "none"), ...[...dimensions]
      .map(([key, { title }]) => h("option", { value: key }, title)));
    select(name).value = chosen;
    if (select(name).value === "") select(name).value = value;
  }
  const metrics = [...turboLab.data.image_metrics.map((one, at) => [`i${at}`, one]),
    ...turboLab.data.metrics.map((one, at) => [`c${at}`, one])];
  const names = new Set();
  const order = select("order").value;
  select("order").replaceChildren(h("option", { value: "" }, "as listed"), ...metrics
    .filter(([, one]) => !names.has(one.name) && names.add(one.name))
    .flatMap(([key, one]) => [1, -1].map((sign) => h("option", { value: `${sign}${key}` },
      `${one.title}, ${sign === 1 ? "best" : "worst"} first`))));
  select("order").value = order;
}

const chosen = (name) => dimensions.get(select(name).value) ?? null;

// ---- order

function ranking() {
  const found = /^(-?1)([ic])(\d+)$/.exec(select("order").value);
  if (!found) return null;
  const [, sign, kind, at] = found;
  const list = kind === "i" ? turboLab.data.image_metrics : turboLab.data.metrics;
  const up = list[at]?.direction === "higher" ? -1 : 1;
  const value = kind === "i" ? (image) => image.scores[at] : (image) => image.cell.values[at];
  const mean = (images) => {
    const known = images.map(value).filter((one) => one !== null && one !== undefined);
    return known.length ? known.reduce((sum, one) => sum + one, 0) / known.length : null;
  };
  // What has no value comes last, whichever end is first.
  return (a, b) => {
    const [x, y] = [mean(a), mean(b)];
    return x === null || y === null ? (x === null) - (y === null) : Number(sign) * up * (x - y);
  };
}

// ---- tiles

const addressOf = (image) => turboLab.data.addresses[image.thumb];
const isTiny = (image) => Math.max(image.width, image.height) <= TINY;

// What neither its column nor its row nor its tab says about an image.
function captionOf(image) {
  const used = new Set(["columns", "rows", "tabs"].map((name) => select(name).value));
  if (used.has("cell")) turboLab.data.axes.forEach((axis) => used.add(axis.key));
  const parts = turboLab.data.axes.filter((axis) => !used.has(axis.key))
    .map((axis) => dimensions.get(axis.key).names[dimensions.get(axis.key).of(image)]);
  if (!used.has("prompt")) parts.push(turboLab.data.prompts[image.prompt]);
  return parts.join(" · ");
}

function wordsOf(image) {
  const mark = marks.of(image);
  const about = [turboLab.data.prompts[image.prompt], image.cell.label, `seed ${image.seed}`];
  return [...about, image.flagged ? "flagged" : null, mark].filter(Boolean).join(", ");
}

function scoreOf(image) {
  const score = image.scores[0];
  return score === null || score === undefined ? "" : score.toFixed(2);
}

function tileOf(image) {
  const tile = h("button", {
    type: "button", className: "tile", tabIndex: -1,
    title: `${turboLab.data.prompts[image.prompt]} · ${image.cell.label}`,
    "data-cell": image.cell.number,
  }, h("img", {
    src: addressOf(image), alt: "", loading: "lazy", decoding: "async", width: image.width,
    height: image.height, className: isTiny(image) ? "tiny" : "",
  }), image.source === null ? null
    : h("img", { src: turboLab.data.sources[image.source], alt: "", className: "source", loading: "lazy" }),
  image.flagged ? h("span", { className: "badge" }, "flagged") : null,
  h("span", { className: "caption" }, captionOf(image)),
  h("span", { className: "score" }, scoreOf(image)));
  tile.image = image;
  paint(tile);
  return tile;
}

function paint(tile) {
  const mark = marks.of(tile.image);
  if (mark) tile.dataset.mark = mark;
  else delete tile.dataset.mark;
  tile.setAttribute("aria-label", wordsOf(tile.image));
}

// ---- the grid: one lane per row, filled when it comes near the screen

function grouped(images, dimension) {
  const found = new Map();
  for (const image of images) {
    const key = dimension ? dimension.of(image) : 0;
    if (!found.has(key)) found.set(key, []);
    found.get(key).push(image);
  }
  return [...found].sort(([a], [b]) => a - b);
}

function laneOf(name, images, columns) {
  const rank = ranking();
  const lane = h("div", { className: "lane", role: "group", "aria-label": name || "images" });
  const head = h("h3", { title: name }, name);
  const inCell = (members) => (rank ? [...members].sort((a, b) => rank([a], [b])) : members);
  const byColumn = columns ? new Map(grouped(images, columns.dimension)) : null;
  lane.fill = () => {
    if (lane.isFilled) return;
    lane.isFilled = true;
    const parts = columns
      ? columns.keys.map((key) => h("div", { className: "slot" }, ...inCell(byColumn.get(key) ?? []).map(tileOf)))
      : [h("div", { className: "flow" }, ...inCell(images).map(tileOf))];
    lane.append(...parts);
    adopt(lane);
  };
  lane.append(head);
  const size = Number.parseFloat(grid.style.getPropertyValue("--edge"));
  const most = columns
    ? Math.max(...[...byColumn.values()].map((members) => Math.ceil(members.length / columns.across)))
    : Math.ceil(images.length / Math.max(1, Math.floor(width() / (size + 8))));
  lane.style.setProperty("contain-intrinsic-size", `auto ${Math.round(most * (size + 26) + 16)}px`);
  lane.images = images;
  return lane;
}

// The first tile is the tab stop until another one has the focus.
function adopt(lane) {
  if (!current?.isConnected) {
    const wanted = current?.image;
    const tiles = [...lane.querySelectorAll(".tile")];
    const same = tiles.find((tile) => tile.image.key === wanted?.key);
    const again = same ?? (lane === lanes[0] ? tiles[0] : null);
    if (again) stop(again);
  }
}

function stop(tile) {
  if (current) current.tabIndex = -1;
  current = tile;
  tile.tabIndex = 0;
}

// The grid itself is as wide as its tiles.
const width = () => grid.parentElement.clientWidth;

function size() {
  if (isSized) return;
  const { columns } = shownColumns();
  const isNarrow = width() < 640;
  const room = width() - (isNarrow ? 4 : 190);
  const fit = columns ? Math.floor(room / Math.max(1, columns.keys.length * columns.across)) - 9 : 120;
  const value = Math.min(isNarrow ? 160 : 180, Math.max(84, fit));
  edge.value = value;
  grid.style.setProperty("--edge", `${value}px`);
}

function shownImages() {
  return turboLab.data.cells.flatMap((cell) => cell.images.filter((image) => image.isShown));
}

function shownColumns() {
  const dimension = chosen("columns");
  const byTab = chosen("tabs");
  const images = shownImages().filter((image) => !byTab || tab === null || byTab.of(image) === tab);
  if (!dimension) return { images, columns: null };
  const keys = grouped(images, dimension).map(([key]) => key);
  return { images, columns: { dimension, keys, across: tilesAcross(images, dimension, keys.length) } };
}

// How many tiles stand next to each other in a slot: as many as it has, if there is room.
function tilesAcross(images, dimension, number) {
  const rows = chosen("rows");
  const counts = new Map();
  for (const image of images) {
    const key = `${dimension.of(image)} ${rows ? rows.of(image) : ""}`;
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  const least = isSized ? Number(edge.value) : 96;
  const fit = Math.floor((width() - 190) / (Math.max(1, number) * (least + 9)));
  return Math.max(1, Math.min(fit, Math.max(0, ...counts.values())));
}

function drawTabs() {
  const dimension = chosen("tabs");
  tabs.hidden = dimension === null;
  tabs.replaceChildren();
  if (dimension === null) return;
  const known = grouped(shownImages(), dimension).map(([key]) => key);
  if (tab !== null && !known.includes(tab)) tab = known[0] ?? null;
  const made = (key, name) => h("button", {
    type: "button", role: "tab", "aria-selected": String(key === tab), tabIndex: key === tab ? 0 : -1,
    "aria-controls": "grid", onclick: () => openTab(key),
  }, name);
  tabs.replaceChildren(...known.map((key) => made(key, dimension.names[key])), made(null, "all"));
}

function openTab(key) {
  const hadFocus = tabs.contains(document.activeElement);
  tab = key;
  arrange();
  if (hadFocus) tabs.querySelector("[aria-selected=true]").focus();
}

function arrange() {
  const hadFocus = grid.contains(document.activeElement);
  drawTabs();
  size();
  const { images, columns } = shownColumns();
  const rows = chosen("rows");
  const rank = ranking();
  const groups = grouped(images, rows);
  if (rank) groups.sort(([, a], [, b]) => rank(a, b));
  grid.classList.toggle("table", columns !== null);
  grid.style.setProperty("--columns", columns?.keys.length ?? 1);
  grid.style.setProperty("--across", columns?.across ?? 1);
  lanes = groups.map(([key, members]) => laneOf(rows ? rows.names[key] : "", members, columns));
  const head = columns && h("div", { className: "lane heads", "aria-hidden": "true" }, h("h3"),
    ...columns.keys.map((key) => h("h3", { title: columns.dimension.names[key] }, columns.dimension.names[key])));
  const nothing = h("p", { className: "soft" }, turboLab.data.cells.some((cell) => cell.images.length)
    ? "No image passes the filter." : "There are no images yet.");
  grid.replaceChildren(...(lanes.length ? [head, ...lanes].filter(Boolean) : [nothing]));
  observer?.disconnect();
  observer = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      entry.target.fill();
      observer.unobserve(entry.target);
    }
  }, { root: columns ? grid : null, rootMargin: "600px" });
  lanes[0]?.fill();
  for (const lane of lanes) observer.observe(lane);
  if (hadFocus) current?.focus();
}

// ---- keyboard

const middle = (tile) => {
  const box = tile.getBoundingClientRect();
  return { x: box.x + box.width / 2, y: box.y + box.height / 2, height: box.height };
};

function beside(tile, by) {
  const lane = tile.closest(".lane");
  const tiles = [...lane.querySelectorAll(".tile")];
  const next = tiles[tiles.indexOf(tile) + by];
  if (next) return next;
  const other = lanes[lanes.indexOf(lane) + by];
  other?.fill();
  const found = [...(other?.querySelectorAll(".tile") ?? [])];
  return found.at(by === 1 ? 0 : -1) ?? tile;
}

// The nearest tile of the nearest line above or below.
function across(tile, by) {
  const at = lanes.indexOf(tile.closest(".lane"));
  const around = [lanes[at], lanes[at + by], lanes[at + 2 * by]].filter(Boolean);
  for (const lane of around) {
    lane.fill();
    lane.style.contentVisibility = "visible"; // what is skipped has no place to measure
  }
  const here = middle(tile);
  const near = around.flatMap((lane) => [...lane.querySelectorAll(".tile")])
    .map((one) => ({ tile: one, ...middle(one) }))
    .filter((one) => by * (one.y - here.y) > here.height / 2)
    .sort((a, b) => by * (a.y - b.y) || Math.abs(a.x - here.x) - Math.abs(b.x - here.x));
  const line = near.filter((one) => Math.abs(one.y - near[0].y) < here.height / 2);
  line.sort((a, b) => Math.abs(a.x - here.x) - Math.abs(b.x - here.x));
  return line[0]?.tile ?? tile;
}

const walks = {
  ArrowRight: (tile) => beside(tile, 1), ArrowLeft: (tile) => beside(tile, -1),
  ArrowDown: (tile) => across(tile, 1), ArrowUp: (tile) => across(tile, -1),
};

grid.addEventListener("keydown", (event) => {
  const tile = event.target.closest(".tile");
  if (!tile || !(event.key in walks)) return;
  event.preventDefault();
  walks[event.key](tile).focus();
});
grid.addEventListener("focusin", (event) => {
  if (event.target.matches(".tile")) stop(event.target);
});
tabs.addEventListener("keydown", (event) => {
  const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!by) return;
  const all = [...tabs.children];
  all[(all.indexOf(event.target) + by + all.length) % all.length].click();
});

function tileFor(image) {
  const lane = lanes.find((one) => one.images.some(({ key }) => key === image.key));
  lane?.fill();
  return [...(lane?.querySelectorAll(".tile") ?? [])].find((tile) => tile.image.key === image.key);
}

// ---- what the page may ask

layout.addEventListener("change", (event) => {
  if (!event.target.matches("select")) return;
  isArranged = true;
  if (event.target.name === "tabs") tab = 0;
  arrange();
});
edge.addEventListener("input", () => {
  isSized = true;
  grid.style.setProperty("--edge", `${edge.value}px`);
});
edge.addEventListener("change", arrange);
document.addEventListener("filtered", arrange);

turboLab.tiles = {
  addressOf, isTiny, shownImages, tileFor, wordsOf,
  // Images in the order in which they are arranged.
  arranged: () => lanes.flatMap((lane) => lane.images),
  repaint(image) {
    for (const tile of grid.querySelectorAll(".tile")) if (tile.image.key === image.key) paint(tile);
  },
  restart() {
    readDimensions();
    offerDimensions();
  },
};
