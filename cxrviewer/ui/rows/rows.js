// Dense rows of text, pictures and bars; a row may be chosen with the mouse or the keyboard.
// Everything from a file arrives in `data` and is set as text: no markup, no links.

const BANDS = new Set(["low", "unsure", "high"]);

export default function ({ parentElement, data, setTriggerValue }) {
  let root = parentElement.querySelector(".rows");
  if (!root) {
    root = document.createElement("div");
    root.className = "rows";
    parentElement.appendChild(root);
  }
  const focused = root.getRootNode().activeElement?.dataset?.row;
  root.style.setProperty("--columns", data.columns.map((column) => column.width).join(" "));
  root.setAttribute("role", "table");
  root.setAttribute("aria-label", data.label);
  root.replaceChildren(...heads(data), ...data.rows.map((row) => rowOf(row, data, setTriggerValue)), tip());
  root.querySelector(".tip").hidden = true;
  if (focused) root.querySelector(`[data-row="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
}

function element(tag, name, text) {
  const made = document.createElement(tag);
  made.className = name;
  if (text !== undefined) made.textContent = text;
  return made;
}

function heads(data) {
  if (!data.columns.some((column) => column.title)) return [];
  const head = element("div", "row head");
  head.setAttribute("role", "row");
  for (const column of data.columns) {
    const cell = element("div", `cell ${column.align}`, column.title);
    cell.setAttribute("role", "columnheader");
    head.appendChild(cell);
  }
  return [head];
}

function rowOf(row, data, setTriggerValue) {
  const made = element("div", "row");
  made.dataset.row = row.id;
  made.setAttribute("role", "row");
  made.classList.toggle("selected", row.selected);
  made.classList.toggle("large", row.large);
  row.cells.forEach((cell, index) => made.appendChild(cellOf(cell, data.columns[index].align)));
  if (row.tip.length) explain(made, row.tip);
  if (!row.opens) return made;
  made.classList.add("opens");
  made.tabIndex = 0;
  made.setAttribute("aria-selected", row.selected);
  made.setAttribute("aria-label", row.label);
  const open = () => setTriggerValue("opened", row.id);
  made.addEventListener("click", open);
  made.addEventListener("keydown", (event) => {
    const next = { ArrowDown: made.nextElementSibling, ArrowUp: made.previousElementSibling }[event.key];
    if (event.key === "Enter" || event.key === " ") open();
    else if (next?.tabIndex === 0) next.focus();
    else if (!(event.key in { ArrowDown: 1, ArrowUp: 1 })) return;
    event.preventDefault();
  });
  return made;
}

function cellOf(cell, align) {
  const made = element("div", `cell ${align} ${cell.quiet ? "quiet" : ""}`);
  made.setAttribute("role", "cell");
  if (cell.kind === "image") {
    const image = element("img", "thumb");
    image.alt = cell.text;
    image.loading = "lazy";
    if (cell.url) image.src = cell.url;
    made.appendChild(image);
  } else if (cell.kind === "bar") {
    made.appendChild(barOf(cell));
  } else {
    const text = element("div", `text ${BANDS.has(cell.band) ? `word ${cell.band}` : ""}`, cell.text);
    made.appendChild(text);
    if (cell.sub) made.appendChild(element("div", cell.lines > 1 ? "sub lines" : "sub", cell.sub));
    if (cell.title) made.title = cell.title;
  }
  return made;
}

function barOf(cell) {
  const track = element("div", `bar ${BANDS.has(cell.band) ? cell.band : "none"}`);
  track.setAttribute("role", "img");
  track.setAttribute("aria-label", cell.text);
  const done = element("div", "done");
  done.style.width = `${100 * cell.value}%`;
  track.appendChild(done);
  for (const limit of cell.limits) {
    const edge = element("div", "limit");
    edge.style.left = `${100 * limit}%`;
    track.appendChild(edge);
  }
  if (cell.mark !== null) {
    const mark = element("div", "mark");
    mark.style.left = `${100 * cell.mark}%`;
    track.appendChild(mark);
  }
  return track;
}

function tip() {
  const made = element("div", "tip");
  made.hidden = true;
  made.setAttribute("role", "tooltip");
  return made;
}

function explain(row, lines) {
  const show = () => {
    // After a click the answer is on its way: the tip of that row stays away until another row has been visited.
    if (row.parentElement.dataset.clicked === row.dataset.row) return;
    delete row.parentElement.dataset.clicked;
    const box = row.parentElement.querySelector(".tip");
    box.replaceChildren(...lines.map((line, index) => element("div", index ? "source" : "meaning", line)));
    box.hidden = false;
    const place = row.getBoundingClientRect();
    const left = place.left - box.offsetWidth - 10;
    box.style.left = `${Math.max(8, left)}px`;
    box.style.top = `${Math.min(left < 8 ? place.bottom + 4 : place.top, window.innerHeight - box.offsetHeight - 8)}px`;
  };
  const hide = () => (row.parentElement.querySelector(".tip").hidden = true);
  row.addEventListener("mouseenter", show);
  // Only where the keyboard led here: after a click the answer is on its way and the tip would cover it.
  row.addEventListener("focus", () => row.matches(":focus-visible") && show());
  row.addEventListener("mouseleave", hide);
  row.addEventListener("blur", hide);
  row.addEventListener("click", () => {
    row.parentElement.dataset.clicked = row.dataset.row;
    hide();
  });
  row.addEventListener("wheel", hide, { passive: true });
}
