// The page: one list of runs, filtered and sorted once, shown as images, curves and rows.
// Text from runs is only inserted through textContent.

const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const rows = [...document.querySelectorAll("tbody tr[data-run]")];
const pictures = rows.map((row) => row.querySelector("img")?.src ?? null);
const allRuns = data.runs.map((run, place) => ({ ...run, place, picture: pictures[place] }));
let shown = [...allRuns];

function make(tag, options = {}, ...children) {
  const { text, ...rest } = options, element = Object.assign(document.createElement(tag), rest);
  if (text !== undefined) element.textContent = text;
  element.append(...children);
  return element;
}
function fill(select, options, chosen) {
  select.replaceChildren(...options.map(([value, text]) => make("option", { value, text, selected: value === chosen })));
}
const same = (a, b) => a === b;
const valueOf = (run, key) => (key in run.numbers ? run.numbers[key] : key in run.keys ? run.keys[key] : run[key] ?? null);
const sweptKeys = data.swept.map((item) => item.key);
const levelsOf = (key) => data.swept.find((item) => item.key === key)?.levels ?? [];

// Filter: words that a row contains, or KEY=VALUE and KEY>=NUMBER; all must match.

function testOf(word) {
  const match = word.match(/^([^<>=!]+)(>=|<=|!=|=|<|>)(.+)$/);
  if (match) {
    const [, name, sign, wanted] = match, lower = name.toLowerCase();
    const key = [...sweptKeys, ...data.columns.map((c) => c.key), "status", "name", "reason"].find((k) => k.toLowerCase() === lower);
    if (key) return (run) => {
      const value = valueOf(run, key), number = Number(wanted);
      const text = String(value ?? "none").toLowerCase(), short = String(run.short[key] ?? text).toLowerCase();
      const equal = typeof value === "number" && !Number.isNaN(number) ? value === number : [text, short, text.split(" (stand-in: ")[0]].includes(wanted.toLowerCase());
      if (sign === "=") return equal;
      if (sign === "!=") return !equal;
      if (typeof value !== "number" || Number.isNaN(number)) return false;
      return { ">": value > number, "<": value < number, ">=": value >= number, "<=": value <= number }[sign];
    };
  }
  const wanted = word.toLowerCase();
  return (run) => [run.name, run.status, run.reason, ...Object.values(run.short)].some((text) => String(text).toLowerCase().includes(wanted));
}

const keyFilters = data.swept.filter((item) => item.levels.length > 1 && item.levels.length <= 30).map((item) => {
  const select = make("select");
  fill(select, [["", "all"], ...item.levels.map((level, place) => [String(place), level.label])], "");
  select.addEventListener("change", refresh);
  byId("filter-keys").append(make("label", {}, item.key + " ", select));
  return (run) => select.value === "" || same(run.keys[item.key], item.levels[Number(select.value)].value);
});

function refresh() {
  const tests = byId("filter").value.trim().split(/\s+/).filter(Boolean).map(testOf);
  shown = allRuns.filter((run) => [...tests, ...keyFilters].every((test) => test(run)));
  sort();
  const visible = new Set(shown.map((run) => run.place));
  rows.forEach((row, place) => { row.hidden = !visible.has(place); });
  byId("count").textContent = `${shown.length} of ${allRuns.length} run${allRuns.length === 1 ? "" : "s"}`;
  showGrid();
  showCurves();
}
byId("filter").addEventListener("input", refresh);
byId("clear").addEventListener("click", () => {
  byId("filter").value = "";
  byId("filter-keys").querySelectorAll("select").forEach((select) => { select.value = ""; });
  refresh();
});

// Sort: numbers by value, missing values last.

let order = { key: null, down: false };
function sort() {
  const compare = (a, b) => {
    const [x, y] = [valueOf(a, order.key), valueOf(b, order.key)];
    if (x === null || y === null) return (x === null) - (y === null);
    const way = typeof x === "number" && typeof y === "number" ? x - y : String(x).localeCompare(String(y), "en", { numeric: true });
    return order.down ? -way : way;
  };
  const sorted = order.key === null ? [...allRuns] : [...allRuns].sort((a, b) => compare(a, b) || a.place - b.place);
  document.querySelector("#table tbody").append(...sorted.map((run) => rows[run.place]));
  const visible = new Set(shown.map((run) => run.place));
  shown = sorted.filter((run) => visible.has(run.place));
}
document.querySelectorAll("#table th[data-key]").forEach((head) => {
  head.querySelector("button").addEventListener("click", () => {
    order = { key: head.dataset.key, down: order.key === head.dataset.key && !order.down };
    document.querySelectorAll("#table th[data-key]").forEach((other) => other.setAttribute("aria-sort", other === head ? (order.down ? "descending" : "ascending") : "none"));
    refresh();
  });
});

// Images over two keys; one grid for each combination of the other keys.

const settings = (run, keys) => keys.map((key) => `${key}=${run.short[key]}`).join(", ");
const named = (run) => settings(run, sweptKeys) || run.name;

function cell(run, caption) {
  const button = make("button", { type: "button", className: "cell" });
  button.setAttribute("aria-label", `Open ${run.name}`);
  if (run.picture) button.append(make("img", { src: run.picture, alt: `Result of ${run.name}`, loading: "lazy", decoding: "async" }));
  else button.append(make("span", { className: "missing" }, make("span", { className: `status ${run.status}`, text: run.status }), ` ${run.reason}`));
  if (caption) button.append(make("span", { className: "caption", text: caption }));
  button.addEventListener("click", () => openRun(run.place));
  return button;
}

function showGrid() {
  const [down, across] = [byId("rows").value, byId("columns").value], grid = byId("grid");
  if (!down && !across) {
    grid.replaceChildren(make("div", { className: "cards" }, ...shown.map((run) => cell(run, named(run)))));
    return;
  }
  const rest = sweptKeys.filter((key) => key !== down && key !== across), parts = new Map();
  for (const run of shown) {
    const name = settings(run, rest);
    parts.set(name, [...(parts.get(name) ?? []), run]);
  }
  const used = (key, runs) => (key ? levelsOf(key).filter((level) => runs.some((run) => same(run.keys[key], level.value))) : [{ value: null, label: "" }]);
  const at = (run, key, level) => !key || same(run.keys[key], level.value);
  grid.replaceChildren(...[...parts].map(([name, runs]) => {
    const columns = used(across, runs);
    const head = make("tr", {}, make("th", { className: "corner", text: [down && `${down} ↓`, across && `${across} →`].filter(Boolean).join("\n") }), ...columns.map((level) => make("th", { scope: "col", text: level.label })));
    const body = used(down, runs).map((row) => make("tr", {}, make("th", { scope: "row", text: row.label }), ...columns.map((column) => {
      const here = runs.filter((run) => at(run, down, row) && at(run, across, column));
      return here.length ? make("td", {}, ...here.map((run) => cell(run, here.length > 1 ? run.name : ""))) : make("td", { className: "empty", text: "not run" });
    })));
    const table = make("table", {}, make("thead", {}, head), make("tbody", {}, ...body));
    return make("div", { className: "part" }, ...(name ? [make("h3", { text: name })] : []), table);
  }));
  if (!shown.length) grid.replaceChildren(make("p", { className: "quiet", text: "No run passes the filter." }));
}

function chooseAxes() {
  const options = [["", "none"], ...sweptKeys.map((key) => [key, key])];
  let [down, across] = [sweptKeys[0] ?? "", sweptKeys[1] ?? ""];
  // If two keys were changed one at a time, most of a grid would be empty.
  const pairs = new Set(allRuns.map((run) => JSON.stringify([run.keys[down], run.keys[across]])));
  const cells = levelsOf(down).length * levelsOf(across).length;
  const rest = sweptKeys.filter((key) => key !== down && key !== across);
  const parts = new Set(allRuns.map((run) => settings(run, rest)));
  if (!across || (cells > 4 && pairs.size < 0.4 * cells) || 2 * parts.size > allRuns.length) [down, across] = ["", ""];
  fill(byId("rows"), options, down);
  fill(byId("columns"), options, across);
  for (const id of ["rows", "columns"]) byId(id).addEventListener("change", showGrid);
  const zoom = () => byId("grid").style.setProperty("--cell", `${byId("zoom").value}px`);
  // The largest size at which all columns of a grid are visible.
  const most = across ? Math.max(1, levelsOf(across).length) : window.innerWidth < 640 ? 2 : 4;
  byId("zoom").value = Math.min(260, (byId("grid").clientWidth - (down ? 110 : 0)) / most - 8);
  byId("zoom").addEventListener("input", zoom);
  zoom();
}

// Before and after.

function setCut() {
  byId("slider").style.setProperty("--cut", `${byId("cut").value}%`);
}
function showSlider() {
  const right = allRuns[Number(byId("right").value)], left = byId("left").value;
  const photo = left === "photo", other = photo ? null : allRuns[Number(left)];
  const source = photo ? data.images[right.photo] : other.picture;
  byId("inputs").replaceChildren(...inputsOf(right));
  byId("after").src = right.picture;
  byId("after").alt = `Result of ${right.name}`;
  byId("before").hidden = byId("handle").hidden = !source;
  if (source) byId("before").src = source;
  byId("before").alt = photo ? `Photo of ${right.name}` : `Result of ${other.name}`;
  byId("compare-said").textContent = source
    ? `Left of the line: ${photo ? "the photo" : named(other)}. Right: ${named(right)}.`
    : "The photo of this run is not on the disk where the page was made, or is another one now; choose a run on the left.";
}
function setUpSlider() {
  const have = allRuns.filter((run) => run.picture), options = have.map((run) => [String(run.place), named(run)]);
  byId("compare").hidden = !have.length;
  if (!have.length) return;
  fill(byId("right"), options, options[0][0]);
  fill(byId("left"), [["photo", "the photo"], ...options], have[0].photo || have.length < 2 ? "photo" : options[1][0]);
  // No more than twice its pixels: larger, it would only be blurred.
  byId("after").addEventListener("load", () => byId("slider").style.setProperty("--most", `${Math.max(320, Math.min(860, 2 * byId("after").naturalWidth))}px`));
  for (const id of ["left", "right"]) byId(id).addEventListener("change", showSlider);
  byId("cut").addEventListener("input", setCut);
  setCut();
  showSlider();
}

// Curves.

const OKABE_ITO = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"];
const DASHES = [[], [7, 4], [2, 3], [9, 3, 2, 3]];
const VIRIDIS = [[68, 1, 84], [71, 44, 122], [59, 81, 139], [44, 113, 142], [33, 144, 141], [39, 173, 129], [92, 200, 99], [170, 220, 50], [253, 231, 37]];
function viridis(share) {
  const place = share * (VIRIDIS.length - 1), low = Math.min(Math.floor(place), VIRIDIS.length - 2);
  return `rgb(${VIRIDIS[low].map((from, i) => Math.round(from + (VIRIDIS[low + 1][i] - from) * (place - low))).join(",")})`;
}
const isDark = () => getComputedStyle(document.documentElement).getPropertyValue("--paper").trim() === "#131417";

function looksOf(key) {
  const item = data.swept.find((one) => one.key === key);
  if (!item) return [{ value: undefined, label: "", colour: isDark() ? "#6cb8ea" : "#0072B2", dash: [] }];
  // The end of the scale that is close to the background is not used.
  const [from, to] = isDark() ? [0.35, 1] : [0, 0.85];
  const words = [isDark() ? "#ffffff" : "#000000", ...OKABE_ITO];
  return item.levels.map((level, place) => item.numeric
    ? { ...level, colour: viridis(from + ((to - from) * place) / Math.max(1, item.levels.length - 1)), dash: [] }
    : { ...level, colour: words[place % words.length], dash: DASHES[Math.floor(place / words.length) % DASHES.length] });
}

const canvas = document.querySelector("#chart canvas");
const chart = makeChart(canvas, byId("tip"), (place) => openRun(place));

function showCurves() {
  const measure = byId("measure").value, key = byId("colour").value, looks = looksOf(key);
  const share = measure === "share", column = share ? "total" : measure;
  const lines = shown.filter((run) => run.curve[column]).map((run) => {
    const look = key ? looks.find((one) => same(run.keys[key], one.value)) : looks[0];
    const start = run.curve[column][0];
    const y = share ? run.curve[column].map((value) => (value === null || !(start > 0) ? null : +(value / start).toPrecision(4))) : run.curve[column];
    return { run: run.place, name: named(run), x: run.curve.epoch, y, colour: look.colour, dash: look.dash };
  });
  const label = byId("measure").selectedOptions[0]?.textContent ?? "";
  chart.show(lines, label, byId("log").checked);
  canvas.setAttribute("aria-label", `${label} over the epochs, ${lines.length} curves; the values at the end are in the table`);
  byId("legend").replaceChildren(...(key ? looks : []).map((look) => {
    const swatch = make("i");
    swatch.style.borderTopColor = look.colour;
    if (look.dash.length) swatch.style.borderTopStyle = look.dash[0] > 5 ? "dashed" : "dotted";
    return make("span", {}, swatch, `${key}=${look.label}`);
  }));
}
function setUpCurves() {
  const have = Object.entries(data.curves).filter(([name]) => allRuns.some((run) => run.curve[name]?.some((value) => value !== null)));
  const options = [...have, ["share", "total loss as a share of its start"]];
  fill(byId("measure"), options, data.mixed ? "share" : options[0][0]);
  fill(byId("colour"), [["", "none"], ...sweptKeys.map((key) => [key, key])], sweptKeys[0] ?? "");
  for (const id of ["measure", "colour", "log"]) byId(id).addEventListener("change", showCurves);
  byId("zoom-in").addEventListener("click", () => chart.zoom(0.7));
  byId("zoom-out").addEventListener("click", () => chart.zoom(1.4));
  byId("zoom-all").addEventListener("click", () => chart.reset());
}

// One run.

let opened = null;
function pairs(entries, differing = new Set()) {
  return make("table", { className: "pairs" }, make("tbody", {}, ...entries.map(([key, value]) => make("tr", { className: differing.has(key) ? "differs" : "" }, make("th", { scope: "row", text: key }), make("td", { text: value })))));
}
function figure(source, alt, caption, href) {
  const image = make("img", { src: source, alt });
  return make("figure", {}, href ? make("a", { href }, image) : image, make("figcaption", { text: caption }));
}
function inputsOf(run) {
  const named = [[run.photo, `photo: ${run.inputs.content}`], ...run.paintings.map((key) => [key, `painting: ${run.inputs.style}`])];
  return named.filter(([key]) => key).map(([key, caption]) => figure(data.images[key], caption, caption));
}
function openRun(place) {
  const run = allRuns[place], body = byId("run-body"), dialog = byId("run");
  opened = place;
  byId("run-title").textContent = run.name;
  const config = { ...data.common, ...run.config };
  const full = run.files["final.png"] ?? run.files["last_good.png"];
  const inside = [make("p", {}, make("span", { className: `status ${run.status}`, text: run.status }), make("span", { className: ["failed", "diverged"].includes(run.status) ? "wrong" : "quiet", text: ` ${run.reason}` }))];
  const images = make("div", { className: "pictures" });
  if (run.picture) images.append(figure(run.picture, `Result of ${run.name}`, full ? "result; click for the full picture" : "result", full));
  images.append(...inputsOf(run));
  inside.push(images);
  if (run.picture) {
    const compare = make("button", { type: "button", text: "Compare with the slider" });
    compare.addEventListener("click", () => {
      byId("right").value = String(place);
      showSlider();
      dialog.close();
      byId("compare").scrollIntoView();
      byId("cut").focus({ preventScroll: true });
    });
    inside.push(make("p", {}, compare));
  }
  if (run.typed) inside.push(make("h3", { text: "Typed" }), make("p", {}, make("code", { text: `python -m nstrep.run ${run.typed}` })));
  const links = Object.entries(run.files).flatMap(([name, href]) => [make("a", { href, text: name }), " · "]);
  inside.push(make("p", {}, ...links, make("a", { href: run.folder, text: "folder" })));
  const columns = make("div", { className: "columns" });
  const settled = Object.entries(config).filter(([, value]) => value !== null);
  if (settled.length) columns.append(make("div", {}, make("h3", { text: "Configuration" }), pairs(settled, new Set(sweptKeys.flatMap((key) => [key, `${key}.name`])))));
  if (Object.keys(run.metrics).length) columns.append(make("div", {}, make("h3", { text: "Measured" }), pairs(Object.entries(run.metrics))));
  inside.push(columns);
  body.replaceChildren(...inside);
  if (!dialog.open) dialog.showModal();
  dialog.scrollTop = 0;
  byId("run-title").focus({ preventScroll: true });
}
function step(by) {
  const places = shown.map((run) => run.place), at = places.indexOf(opened);
  if (places.length) openRun(places[(at + by + places.length) % places.length]);
}
byId("previous").addEventListener("click", () => step(-1));
byId("next").addEventListener("click", () => step(1));
byId("close").addEventListener("click", () => byId("run").close());
byId("run").addEventListener("click", (event) => { if (event.target === byId("run")) byId("run").close(); });
byId("run").addEventListener("keydown", (event) => {
  if (event.key === "ArrowLeft") step(-1);
  if (event.key === "ArrowRight") step(1);
});
rows.forEach((row) => row.querySelectorAll(".open").forEach((button) => button.addEventListener("click", () => openRun(Number(row.dataset.run)))));

// Light and dark: the system's choice until the user chooses.

const THEMES = ["system", "light", "dark"];
function setTheme(theme) {
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  byId("theme").textContent = `Theme: ${theme}`;
  try { localStorage.setItem("nstrep-theme", theme); } catch { /* a file may have no storage */ }
  showCurves();
}
let theme = "system";
try { theme = THEMES.includes(localStorage.getItem("nstrep-theme")) ? localStorage.getItem("nstrep-theme") : "system"; } catch { /* the same */ }
byId("theme").addEventListener("click", () => { theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length]; setTheme(theme); });
for (const media of ["(prefers-color-scheme: dark)", "print"]) matchMedia(media).addEventListener("change", showCurves);

chooseAxes();
setUpSlider();
setUpCurves();
setTheme(theme);
refresh();
