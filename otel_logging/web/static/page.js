// The call page's behaviour: filters, the open record, keys, the histogram, following a live call. No framework.
// Everything that came from a log is handled as text: details are built with textContent, rows come escaped from the server.

const $ = (id) => document.getElementById(id);
const list = $("list");
const served = document.documentElement.dataset.mode === "serve";
const RANK = { DEBUG: 0, INFO: 1, WARNING: 2, ERROR: 3, CRITICAL: 4 };
const FACTS = ["service", "logger"]; // filtered by as they stand in the row; every other name is an attribute

/** Build an element. Children that are strings become text. */
function make(name, props = {}, ...children) {
  const made = Object.assign(document.createElement(name), props);
  made.append(...children);
  return made;
}

/* ---- copy buttons, on every page ---- */

document.addEventListener("click", async (event) => {
  const button = event.target.closest?.("[data-copy]");
  if (!button) return;
  try {
    await navigator.clipboard.writeText(button.dataset.copy);
    button.textContent = "Copied";
  } catch {
    const range = document.createRange();
    range.selectNodeContents($("call-id"));
    getSelection().removeAllRanges();
    getSelection().addRange(range);
    button.textContent = "Press Ctrl C";
  }
  setTimeout(() => (button.textContent = "Copy"), 1500);
});

/* ---- the list of calls: sparklines, a few at a time, after the page has been painted ---- */

async function sparklines() {
  const waiting = [...document.querySelectorAll("[data-spark]")];
  while (waiting.length) {
    const some = waiting.splice(0, 10);
    const query = new URLSearchParams(some.map((svg) => ["id", svg.dataset.spark]));
    const answer = await fetch(`/sparks?${query}`);
    if (!answer.ok) return;
    const paths = await answer.json();
    waiting.unshift(...some.filter((_, number) => !paths[number])); // a slow store answers a few at a time
    some.forEach((svg, number) => {
      for (const [name, d] of Object.entries(paths[number] ?? {})) {
        const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
        path.setAttribute("class", name);
        path.setAttribute("d", d);
        svg.append(path);
      }
    });
  }
}

/* ---- state: it stands in the address, after the #, so that a saved file has it, too ---- */

let state = read();

function read() {
  const words = new URLSearchParams(location.hash.slice(1));
  const attrs = [];
  for (const [key, value] of words) {
    if (key === "attr" || key === "-attr") {
      const cut = value.indexOf("=");
      attrs.push({ not: key[0] === "-", key: value.slice(0, cut).replace(/%3D/g, "=").replace(/%25/g, "%"), value: value.slice(cut + 1) });
    } else if (FACTS.includes(key.replace(/^-/, ""))) {
      attrs.push({ not: key[0] === "-", key: key.replace(/^-/, ""), value });
    }
  }
  const number = (name) => (words.has(name) && isFinite(words.get(name)) ? Number(words.get(name)) : null);
  return {
    text: words.get("text") ?? "", level: words.get("level") ?? "", attrs, sel: words.get("sel") ?? "",
    recovered: words.get("recovered") !== "hide", from: number("from"), to: number("to"),
  };
}

/** Put the state into the address: a new step of the history for a choice, the same step for typing and moving. */
function write(change, step) {
  Object.assign(state, change);
  const words = new URLSearchParams();
  if (state.text) words.set("text", state.text);
  if (state.level) words.set("level", state.level);
  if (!state.recovered) words.set("recovered", "hide");
  for (const { not, key, value } of state.attrs) {
    const minus = not ? "-" : "";
    if (FACTS.includes(key)) words.append(minus + key, value);
    else words.append(`${minus}attr`, `${key.replace(/[%=]/g, encodeURIComponent)}=${value}`);
  }
  if (state.from !== null) words.set("from", state.from);
  if (state.to !== null) words.set("to", state.to);
  if (state.sel) words.set("sel", state.sel);
  const hash = words.toString();
  if (`#${hash}` === location.hash || (!hash && !location.hash)) return apply();
  try {
    history[step ? "pushState" : "replaceState"](null, "", hash ? `#${hash}` : location.pathname + location.search);
  } catch {
    location.hash = hash; // a saved file, in browsers that allow it nothing else
  }
  apply();
}

const anew = () => { state = read(); apply(); reveal(); };
addEventListener("popstate", anew);
addEventListener("hashchange", anew);

/* ---- rows ---- */

let details = null;
const cached = new WeakMap();

/** What the server said about rows: more than they show. Each resource comes once. */
function learn({ rows, resources }) {
  details ??= {};
  for (const [id, known] of Object.entries(rows)) details[id] = { ...known, resource: resources[known.resource] };
}

function detail(row) {
  if (!details) learn(JSON.parse($("details").textContent));
  return details[row.id] ?? { pairs: [], resource: {} };
}

function facts(row) {
  let found = cached.get(row);
  if (!found) {
    const gap = row.classList.contains("gap");
    const text = (selector) => row.querySelector(selector)?.textContent ?? "";
    found = {
      gap, t: Number(row.dataset.t), level: gap ? "" : row.children[1].textContent, service: text(".s"), logger: text(".g"),
      text: row.textContent.toLowerCase(), recovered: row.classList.contains("rec"),
    };
    cached.set(row, found);
  }
  return found;
}

function fits(row, words) {
  const fact = facts(row);
  if (state.from !== null && fact.t < state.from) return false;
  if (state.to !== null && fact.t > state.to) return false;
  if (fact.gap) return !state.text && !state.level && !state.attrs.length;
  if (!state.recovered && fact.recovered) return false;
  if (state.level && !((RANK[fact.level] ?? -1) >= RANK[state.level])) return false;
  for (const { not, key, value } of state.attrs) {
    const pairs = FACTS.includes(key) ? [[key, fact[key]]] : [...detail(row).pairs, ...Object.entries(detail(row).resource)];
    if (pairs.some(([name, other]) => name === key && other === value) === not) return false;
  }
  return !words || fact.text.includes(words) || (detail(row).body ?? "").toLowerCase().includes(words)
    || (detail(row).exception ?? "").toLowerCase().includes(words);
}

let visible = [];

/** Show what fits the state, count it, and draw what depends on it. */
function apply() {
  const words = state.text.toLowerCase();
  visible = [];
  let records = 0;
  let shown = 0;
  for (const row of list.children) {
    const fit = fits(row, words);
    if (row.hidden === fit) row.hidden = !fit;
    const gap = row.classList.contains("gap");
    if (fit && !gap) visible.push(row);
    if (!gap && !row.classList.contains("span")) { records++; shown += fit; }
  }
  $("shown").textContent = `${shown.toLocaleString("en")} of ${records.toLocaleString("en")} records shown`;
  $("none").hidden = visible.length > 0 || !list.children.length;
  if ($("text").value !== state.text) $("text").value = state.text;
  for (const button of document.querySelectorAll("[data-level]")) {
    button.setAttribute("aria-pressed", String(button.dataset.level === state.level));
  }
  $("recovered").setAttribute("aria-pressed", String(state.recovered));
  chips();
  select();
  marks();
  histogram();
}

function chips() {
  const made = state.attrs.map((attr) => chip(`${attr.key} ${attr.not ? "≠" : "="} ${attr.value}`, attr.not,
    () => write({ attrs: state.attrs.filter((other) => other !== attr) }, true)));
  if (state.from !== null || state.to !== null) {
    const seconds = (at, other) => (at === null ? other : `${(at / 1000).toFixed(2)} s`);
    made.push(chip(`${seconds(state.from, "start")} – ${seconds(state.to, "end")}`, false, () => write({ from: null, to: null }, true)));
  }
  $("chips").replaceChildren(...made);
}

function chip(text, not, remove) {
  return make("button", { type: "button", className: `chip${not ? " not" : ""}`, title: "remove this filter", onclick: remove },
    make("bdi", { textContent: text }));
}

/** Open the selected row, close the others, show which rows share its span. */
function select() {
  for (const row of list.querySelectorAll(".sel, .mate")) {
    if (row.id === state.sel) continue;
    row.classList.remove("sel", "mate");
    row.querySelector(".t").removeAttribute("aria-expanded");
    row.querySelector(".t").tabIndex = -1;
    row.querySelector(".detail")?.remove();
  }
  const row = state.sel && $(state.sel);
  if (!row || !row.classList.contains("row")) return first();
  if (!row.classList.contains("sel")) {
    row.classList.add("sel");
    row.append(opened(row));
    row.querySelector(".t").setAttribute("aria-expanded", "true");
    row.querySelector(".t").tabIndex = 0;
  }
  if (row.classList.contains("span")) {
    const span = row.id.slice(1);
    for (const other of list.children) {
      if (other.classList.contains("row") && other !== row && detail(other).pairs.some(([k, v]) => k === "span_id" && v === span)) {
        other.classList.add("mate");
      }
    }
  }
}

/** The list has one stop for the Tab key: the selected row, or else the first. */
function first() {
  const link = visible[0]?.querySelector(".t");
  if (link) link.tabIndex = 0;
}

function opened(row) {
  const known = detail(row);
  const box = make("div", { className: "detail" });
  if (known.because) box.append(make("p", { className: "because", textContent: known.because }));
  if (known.body) box.append(make("pre", { dir: "auto", textContent: known.body }));
  if (known.exception) box.append(make("pre", { className: "x", dir: "auto", textContent: known.exception }));
  const body = make("tbody");
  const line = (key, value, filter = true) => {
    const buttons = filter ? [
      make("button", { type: "button", textContent: "only", title: `only records with this ${key}`, onclick: () => only(key, value, false) }),
      make("button", { type: "button", textContent: "without", title: `hide records with this ${key}`, onclick: () => only(key, value, true) }),
    ] : [];
    body.append(make("tr", {}, make("td", {}, make("bdi", { textContent: key })), make("td", { dir: "auto", textContent: value }), make("td", {}, ...buttons)));
  };
  line("time", known.time ?? "", false);
  const fact = facts(row);
  for (const name of FACTS) if (fact[name]) line(name, fact[name]);
  for (const [key, value] of known.pairs) line(key, value);
  box.append(make("table", {}, body));
  const resource = Object.entries(known.resource ?? {});
  if (resource.length) {
    const inner = make("tbody");
    for (const [key, value] of resource) {
      inner.append(make("tr", {}, make("td", {}, make("bdi", { textContent: key })), make("td", { dir: "auto", textContent: value })));
    }
    box.append(make("details", {}, make("summary", { textContent: `resource: ${resource.length} attributes` }), make("table", {}, inner)));
  }
  return box;
}

function only(key, value, not) {
  const others = state.attrs.filter((attr) => attr.key !== key || attr.value !== value);
  write({ attrs: [...others, { not, key, value }] }, true);
}

function reveal(focus = false) {
  const row = state.sel && $(state.sel);
  if (!row || row.hidden) return;
  row.scrollIntoView({ block: "nearest" });
  const box = row.getBoundingClientRect();
  if (box.top < 110 || box.bottom > innerHeight) row.scrollIntoView({ block: box.height > innerHeight - 160 ? "start" : "center" });
  if (focus) row.querySelector(".t").focus({ preventScroll: true });
}

function go(row, focus = true) {
  if (!row) return;
  write({ sel: row.id }, false);
  reveal(focus);
}

function move(step, wanted = () => true) {
  let at = visible.findIndex((row) => row.id === state.sel);
  if (at < 0) at = step > 0 ? -1 : visible.length;
  for (at += step; at >= 0 && at < visible.length; at += step) if (wanted(visible[at])) return go(visible[at]);
}

/* ---- the timeline ---- */

const timeline = () => document.querySelector(".timeline");

/** Where the chosen time and the open record are, over all lanes. */
function marks() {
  const box = timeline();
  if (!box) return;
  box.querySelectorAll(".window, .pointer").forEach((mark) => mark.remove());
  const svg = box.querySelector(".axis svg");
  const start = Number(box.dataset.start);
  const length = Number(box.dataset.length);
  const left = svg.getBoundingClientRect().left - box.getBoundingClientRect().left - box.clientLeft;
  const width = svg.getBoundingClientRect().width;
  const x = (at) => left + Math.min(Math.max((at - start) / length, 0), 1) * width;
  if (state.from !== null || state.to !== null) {
    const mark = make("div", { className: "window" });
    mark.style.left = `${x(state.from ?? start)}px`;
    mark.style.width = `${Math.max(x(state.to ?? start + length) - x(state.from ?? start), 1)}px`;
    box.append(mark);
  }
  const row = state.sel && $(state.sel);
  if (row) {
    const mark = make("div", { className: "pointer" });
    mark.style.left = `${x(Number(row.dataset.t))}px`;
    box.append(mark);
  }
}

let plot = null;
let drawn = "";

/** The shown records over time, stacked by level; dragging over it chooses a time. */
function histogram() {
  const box = timeline();
  const place = $("histogram");
  if (!box || !place || typeof uPlot === "undefined") return;
  place.closest(".lane").hidden = false;
  const width = box.querySelector(".axis svg").getBoundingClientRect().width;
  const start = Number(box.dataset.start);
  const length = Number(box.dataset.length);
  const many = Math.max(20, Math.min(200, Math.floor(width / 6)));
  const bins = [0, 1, 2, 3].map(() => new Array(many).fill(0));
  for (const row of visible) {
    const fact = facts(row);
    if (row.classList.contains("span")) continue;
    const at = Math.min(Math.max(Math.floor(((fact.t - start) / length) * many), 0), many - 1);
    bins[fact.level === "ERROR" || fact.level === "CRITICAL" ? 0 : fact.level === "WARNING" ? 1 : fact.recovered ? 3 : 2][at]++;
  }
  // Each series is drawn over the one below it, so it has to be as high as all below it together.
  const stacked = [];
  bins.reduce((sum, bin) => { const next = bin.map((count, at) => count + sum[at]); stacked.unshift(next); return next; }, new Array(many).fill(0));
  const xs = bins[0].map((_, at) => start + ((at + 0.5) * length) / many);
  const colours = ["--rec", "--kept", "--w", "--e"].map((name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim());
  const data = [xs, ...stacked];
  const same = `${width} ${colours} ${start} ${length}`;
  if (plot && drawn === same && place.firstChild) return plot.setData(data, false), plot.setScale("x", { min: start, max: start + length });
  plot?.destroy();
  drawn = same;
  plot = new uPlot({
    width, height: 64, legend: { show: false }, padding: [4, 0, 0, 0],
    scales: { x: { time: false, range: () => [start, start + length] }, y: { range: (_, __, most) => [0, most || 1] } },
    axes: [{ show: false }, { show: false }],
    cursor: { y: false, points: { show: false }, drag: { x: true, y: false, setScale: false } },
    series: [{}, ...colours.map((colour) => ({ fill: colour, width: 0, points: { show: false }, paths: uPlot.paths.bars({ size: [0.9, 100] }) }))],
    hooks: {
      setSelect: [(chart) => {
        if (chart.select.width < 3) return;
        const round = (pixels) => Math.round(chart.posToVal(pixels, "x") * 10) / 10;
        const range = { from: round(chart.select.left), to: round(chart.select.left + chart.select.width) };
        chart.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
        write(range, true);
      }],
    },
  }, data, place);
}

/* ---- following a live call ---- */

function follow() {
  const section = $("records");
  const url = section.dataset.events;
  if (!served || !url) return;
  const sign = $("live");
  let source = null;
  let last = section.dataset.cursor;
  let fresh = 0;
  const atEnd = () => innerHeight + scrollY >= document.documentElement.scrollHeight - 60;
  const say = (text, on) => { sign.hidden = false; sign.textContent = text; sign.classList.toggle("off", !on); };

  function open() {
    if (source || document.hidden || !url) return;
    source = new EventSource(`${url}&after=${encodeURIComponent(last)}`);
    source.onopen = () => say("following", true);
    source.onerror = () => say(source.readyState === EventSource.CLOSED ? "not following: reload the page" : "connecting again", false);
    source.addEventListener("rows", (event) => { last = event.lastEventId; take(JSON.parse(event.data)); });
    source.addEventListener("top", (event) => top(JSON.parse(event.data)));
    source.addEventListener("end", () => { close(); say("the call is complete", true); ended = true; });
  }
  let ended = false;
  function close() { source?.close(); source = null; }

  function take({ html, details: more, gone }) {
    const end = atEnd();
    const box = make("template");
    box.innerHTML = html; // made by the server from the same escaping template as the page
    if (!details) learn(JSON.parse($("details").textContent));
    learn(more);
    for (const row of [...box.content.children]) {
      if ($(row.id)) continue;
      // Recovered records come late and belong earlier: look for the place from the end.
      let before = list.lastElementChild;
      while (before && Number(before.dataset.t) > Number(row.dataset.t)) before = before.previousElementSibling;
      before ? before.after(row) : list.prepend(row);
      if (!row.classList.contains("gap")) fresh++;
    }
    for (const id of gone) $(id)?.remove(); // a gap that late records filled
    apply();
    if (end) scrollTo(0, document.documentElement.scrollHeight), (fresh = 0);
    badge();
  }
  function top({ html, state: now }) {
    const focused = document.activeElement?.closest?.("#top") !== null && document.activeElement !== document.body;
    if (focused) return; // never take a button away from under a reader's hand
    $("top").innerHTML = html; // as above
    $("top").dataset.state = now;
    plot?.destroy();
    plot = null;
    wire();
    marks();
    histogram();
  }
  function badge() {
    $("new").hidden = !fresh;
    $("new").textContent = `${fresh.toLocaleString("en")} new ↓`;
  }
  $("new").onclick = () => { scrollTo(0, document.documentElement.scrollHeight); fresh = 0; badge(); };
  addEventListener("scroll", () => { if (fresh && atEnd()) { fresh = 0; badge(); } }, { passive: true });
  // Browsers allow six connections to a server: a tab that nobody looks at takes none.
  document.addEventListener("visibilitychange", () => { if (document.hidden) close(), !ended && say("paused", false); else if (!ended) open(); });
  addEventListener("pagehide", close);
  open();
}

/* ---- wiring ---- */

/** What has to be done again whenever the head of the page is replaced. */
function wire() {
  for (const strip of document.querySelectorAll(".strip")) {
    strip.onclick = (event) => {
      const box = timeline();
      const area = strip.getBoundingClientRect();
      const at = Number(box.dataset.start) + ((event.clientX - area.left) / area.width) * Number(box.dataset.length);
      const service = strip.closest(".lane").querySelector("[data-service]").dataset.service;
      const near = visible.filter((row) => facts(row).service === service || (service === "(no name)" && !facts(row).service));
      go(near.reduce((best, row) => (best && Math.abs(facts(best).t - at) <= Math.abs(facts(row).t - at) ? best : row), null));
    };
  }
  for (const name of document.querySelectorAll(".name[data-service]")) {
    name.onclick = () => only("service", name.dataset.service, false);
    name.title = "only this service";
  }
}

function keys(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || $("help").open) return;
  const typing = event.target.closest("input, select, textarea");
  if (event.key === "Escape") {
    if (typing) return typing.blur();
    if (state.sel) return write({ sel: "" }, false);
    return write({ text: "", level: "", attrs: [], from: null, to: null, recovered: true }, true);
  }
  if (typing) return;
  const error = (row) => row.classList.contains("e") && !row.classList.contains("span");
  const act = {
    j: () => move(1), ArrowDown: () => move(1), k: () => move(-1), ArrowUp: () => move(-1), e: () => move(1, error), E: () => move(-1, error),
    "/": () => { $("text").focus(); $("text").select(); }, r: () => write({ recovered: !state.recovered }, true),
    g: () => go(visible[0]), G: () => go(visible.at(-1)), "?": () => $("help").showModal(),
  }[event.key];
  // Arrow keys scroll the page until a record is chosen.
  if (!act || (event.key.startsWith("Arrow") && !event.target.closest("#list"))) return;
  event.preventDefault();
  act();
}

function start() {
  list.addEventListener("click", (event) => {
    const row = event.target.closest(".row");
    if (!row || event.target.closest(".detail") || event.ctrlKey || event.metaKey) return;
    if (String(getSelection()) && !event.target.closest(".t")) return; // somebody is marking text
    event.preventDefault();
    write({ sel: row.id === state.sel ? "" : row.id }, false);
  });
  let typing = 0;
  $("text").addEventListener("input", () => { clearTimeout(typing); typing = setTimeout(() => write({ text: $("text").value }, false), 120); });
  for (const button of document.querySelectorAll("[data-level]")) {
    button.onclick = () => write({ level: state.level === button.dataset.level ? "" : button.dataset.level }, true);
  }
  $("recovered").onclick = () => write({ recovered: !state.recovered }, true);
  $("clear").onclick = () => write({ text: "", level: "", attrs: [], from: null, to: null, recovered: true }, true);
  $("keys").onclick = () => $("help").showModal();
  document.addEventListener("keydown", keys);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", histogram);
  addEventListener("resize", () => { marks(); histogram(); });
  wire();
  apply();
  reveal();
  follow();
  document.documentElement.dataset.ready = "yes";
}

if (list) start();
else sparklines().finally(() => (document.documentElement.dataset.ready = "yes"));
