"use strict";
// A page that a server fills while its sweep runs. What the user chose and marked stays.
turboLab.isServed = true;
const PAUSE_MS = 1500;
let etag = null;

function keepFilter(markup) {
  const form = document.getElementById("filter");
  const before = new Map([...form.elements].map((one) => [one.name, one.value]));
  const focused = form.contains(document.activeElement) ? document.activeElement.name : null;
  const made = document.createElement("template");
  made.innerHTML = markup;
  form.replaceChildren(...made.content.firstElementChild.childNodes);
  for (const one of form.elements) if (before.has(one.name)) one.value = before.get(one.name);
  if (focused) form.elements[focused]?.focus();
}

// The markup is the server's: it is made like that of the page itself.
function show(state) {
  document.title = state.title;
  document.querySelector("h1").textContent = state.title;
  const pill = document.querySelector("header .verdict");
  pill.className = `verdict ${state.verdict}`;
  pill.textContent = state.verdict;
  document.getElementById("summary").innerHTML = state.summary;
  keepFilter(state.filter);
  const main = document.querySelector("main");
  for (const [id, [title, body]] of Object.entries(state.sections)) {
    const section = document.getElementById(id) ?? turboLab.h("section", { id });
    if (id !== "images") section.innerHTML = `<h2></h2>${body}`;
    section.querySelector("h2").textContent = title;
    main.append(section);
  }
  document.querySelector("nav").replaceChildren(...Object.entries(state.sections)
    .map(([id, [title]]) => turboLab.h("a", { href: `#${id}` }, title)));
  turboLab.receive(state.data);
  turboLab.start();
}

async function poll() {
  const notice = document.getElementById("gone");
  try {
    const headers = etag ? { "If-None-Match": etag } : {};
    const answer = await fetch("state.json", { headers, cache: "no-store" });
    if (answer.status === 200) {
      etag = answer.headers.get("ETag");
      show(await answer.json());
    }
    notice?.remove();
  } catch {
    if (!notice) {
      document.querySelector("header").after(turboLab.h("p", { id: "gone", className: "warn" },
        "The server has ended; this page stays as it is."));
    }
  }
  setTimeout(poll, PAUSE_MS);
}
poll();
