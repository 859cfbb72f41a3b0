// Panes of one radiograph that zoom and pan together. All text is set as text, never as markup.
// The view (scale, centre, orientation) is kept in fractions of the picture as it is shown, so panes of any size share
// it, also across mounts. Stands behind geometry.js in one text.

const views = (window.cxrViews ??= new Map());
const mounts = new WeakMap();
const MAX_SCALE = 20;
const STEPS_MM = [1, 2, 5, 10, 20, 50, 100, 200];

export default function ({ parentElement, data }) {
  let mount = mounts.get(parentElement);
  if (!mount) {
    mount = { panes: new Map(), root: document.createElement("div") };
    mount.root.className = "panes";
    parentElement.appendChild(mount.root);
    mount.observer = new ResizeObserver(() => draw(mount));
    mount.observer.observe(mount.root);
    mount.redraw = () => draw(mount);
    mounts.set(parentElement, mount);
  }
  if (mount.view && mount.viewKey !== data.view) mount.view.listeners.delete(mount.redraw);
  mount.viewKey = data.view;
  mount.view = viewOf(data.view);
  mount.view.listeners.add(mount.redraw);
  mount.data = data;
  build(mount);
  draw(mount);
  return () => {
    mount.view.listeners.delete(mount.redraw);
    mount.observer.disconnect();
    mount.root.remove();
    mounts.delete(parentElement);
  };
}

function viewOf(key) {
  if (!views.has(key)) {
    views.set(key, { scale: 1, x: 0.5, y: 0.5, turns: 0, flipped: false, cursor: null, listeners: new Set() });
  }
  return views.get(key);
}

function tell(view) {
  for (const redraw of view.listeners) redraw();
}

function change(view, next) {
  view.scale = Math.min(Math.max(next.scale ?? view.scale, 1), MAX_SCALE);
  const margin = 0.5 / view.scale;
  const within = (value) => Math.min(Math.max(value, margin), 1 - margin);
  view.x = within(next.x ?? view.x);
  view.y = within(next.y ?? view.y);
  tell(view);
}

// Another orientation; the middle of the view stays on the same spot of the picture.
function orient(view, { turns, flipped }) {
  const middle = pictureAt(view, [view.x, view.y]);
  Object.assign(view, { turns, flipped });
  const [x, y] = shownAt(view, middle);
  change(view, { x, y });
}

const ACTIONS = {
  Rotate: (view) => orient(view, turnedOnce(view)),
  Flip: (view) => orient(view, { turns: view.turns, flipped: !view.flipped }),
  Fit: (view) => change(view, { scale: 1, x: 0.5, y: 0.5 }),
};
const MEANINGS = {
  Rotate: "Rotate by 90 degrees, the view only (r)",
  Flip: "Flip left and right, the view only (f)",
  Fit: "Show the whole picture (0)",
};

function build(mount) {
  const { data, root } = mount;
  root.classList.toggle("single", data.panes.length === 1);
  root.style.setProperty("--count", data.panes.length);
  root.style.setProperty("--height", data.height);
  root.classList.toggle("small", data.small);
  const wanted = new Set(data.panes.map((pane) => pane.id));
  for (const [id, pane] of mount.panes) {
    if (!wanted.has(id)) {
      pane.figure.remove();
      mount.panes.delete(id);
    }
  }
  data.panes.forEach((pane, index) => {
    if (!mount.panes.has(pane.id)) mount.panes.set(pane.id, newPane(mount));
    const parts = mount.panes.get(pane.id);
    if (root.children[index] !== parts.figure) root.insertBefore(parts.figure, root.children[index] ?? null);
    fill(parts, pane, data);
  });
}

function newPane(mount) {
  const make = (tag, name, parent) => {
    const element = document.createElement(tag);
    element.className = name;
    parent?.appendChild(element);
    return element;
  };
  const figure = make("figure", "pane");
  const stage = make("div", "stage", figure);
  stage.tabIndex = 0;
  const film = make("div", "film", stage);
  const parts = {
    figure, stage, film,
    base: make("img", "base", film), overlay: make("img", "overlay", film),
    cross: make("div", "cross", stage), title: make("div", "title", stage), top: make("div", "top", stage),
    ruler: make("div", "ruler", stage), probe: make("div", "probe", stage), wait: make("div", "wait", stage),
    legend: make("div", "legend", figure), caption: make("figcaption", "caption", figure),
  };
  for (const image of [parts.base, parts.overlay]) {
    image.draggable = false;
    image.addEventListener("load", () => image.classList.add("loaded"));
  }
  parts.overlay.alt = "";
  parts.turned = make("div", "turned", stage);
  parts.corner = make("div", "corner", parts.top);
  parts.tools = make("div", "tools", parts.top);
  parts.tools.append(...Object.keys(ACTIONS).map((name) => actionOf(mount, name)));
  listen(mount, stage);
  return parts;
}

function actionOf(mount, name) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = name;
  button.title = MEANINGS[name];
  button.addEventListener("click", () => ACTIONS[name](mount.view));
  // The stage below would begin to move, and a double click would fit.
  for (const kind of ["pointerdown", "dblclick", "keydown"]) {
    button.addEventListener(kind, (event) => event.stopPropagation());
  }
  return button;
}

function show(image, url) {
  if (image.dataset.url === url) return;
  image.dataset.url = url;
  if (!url) {
    image.removeAttribute("src");
    image.hidden = true;
    return;
  }
  image.hidden = false;
  image.src = url;
}

function fill(parts, pane, data) {
  show(parts.base, pane.picture);
  show(parts.overlay, pane.overlay);
  parts.base.alt = pane.alt;
  parts.overlay.style.opacity = pane.opacity;
  parts.figure.dataset.pane = pane.id;
  parts.stage.setAttribute("aria-label", `${pane.alt}. Zoom with + and -, move with the arrows, 0 fits, r rotates, f flips.`);
  parts.stage.setAttribute("role", "group");
  parts.title.textContent = pane.title;
  parts.title.title = pane.hint;
  parts.tools.hidden = !pane.tools;
  parts.wait.hidden = pane.progress === null;
  if (pane.progress !== null) {
    parts.wait.replaceChildren(textOf(pane.waiting, "waiting"), barOf(pane.progress));
  }
  parts.caption.replaceChildren(...pane.caption.map((line) => textOf(line, "line")));
  parts.legend.hidden = !pane.legend;
  if (pane.legend) parts.legend.replaceChildren(...legendOf(pane.legend));
}

function textOf(text, name) {
  const element = document.createElement("div");
  element.className = name;
  element.textContent = text;
  return element;
}

function barOf(share) {
  const track = document.createElement("div");
  track.className = "track";
  track.setAttribute("role", "progressbar");
  track.setAttribute("aria-valuenow", Math.round(share * 100));
  const done = document.createElement("div");
  done.style.width = `${share * 100}%`;
  track.appendChild(done);
  return track;
}

function legendOf(legend) {
  const scale = document.createElement("div");
  scale.className = "scale";
  scale.style.background = `linear-gradient(to right, ${legend.colours.join(",")})`;
  const numbers = document.createElement("div");
  numbers.className = "numbers";
  numbers.replaceChildren(...legend.numbers.map((text) => textOf(text, "number")));
  return [scale, numbers];
}

function draw(mount) {
  const { data, view } = mount;
  for (const parts of mount.panes.values()) {
    const { stage, film, corner, ruler, turned, tools } = parts;
    const box = { width: stage.clientWidth, height: stage.clientHeight };
    if (!box.width || !box.height) continue;
    const scale = fitOf(mount, box) * view.scale;
    const [across, down] = sidesOf(view, data.shape, data.aspect).map((side) => side * scale);
    const [width, height] = view.turns % 2 ? [down, across] : [across, down];
    film.style.width = `${width}px`;
    film.style.height = `${height}px`;
    const left = box.width / 2 - (view.x - 0.5) * across - width / 2;
    const top = box.height / 2 - (view.y - 0.5) * down - height / 2;
    film.style.transform =
      `translate(${left}px, ${top}px) scaleX(${view.flipped ? -1 : 1}) rotate(${90 * view.turns}deg)`;
    corner.textContent = view.scale > 1.005 ? `×${view.scale.toFixed(1)}` : "";
    turned.textContent = orientationWords(view);
    tools.children[1].setAttribute("aria-pressed", view.flipped);
    rule(ruler, data.ruler, scale);
    point(parts, mount, box, [across, down]);
  }
}

// Screen pixels a pixel's width at scale 1: the whole picture is seen.
function fitOf(mount, box) {
  const [across, down] = sidesOf(mount.view, mount.data.shape, mount.data.aspect);
  return Math.min(box.width / across, box.height / down);
}

// A cross in every pane but the one below the cursor, and what is there where a pane tells it.
function point({ stage, cross, probe }, mount, box, [across, down]) {
  const { view, data } = mount;
  cross.hidden = !view.cursor || view.under === stage;
  probe.textContent = view.cursor && data.values ? told(mount, view.cursor) : "";
  if (cross.hidden) return;
  const [x, y] = shownAt(view, view.cursor);
  cross.style.left = `${box.width / 2 + (x - view.x) * across}px`;
  cross.style.top = `${box.height / 2 + (y - view.y) * down}px`;
}

function told(mount, [x, y]) {
  const { values, shape: [height, width], ruler, aspect } = mount.data;
  const column = Math.min(Math.floor(x * width), width - 1);
  const row = Math.min(Math.floor(y * height), height - 1);
  const parts = [`x ${column}  y ${row}`];
  const greys = greysOf(values.url, mount);
  if (greys) {
    const value = values.low + values.step * greys[row * width + column];
    parts.push(`grey ${values.step < 1 ? Number(value.toPrecision(5)) : Math.round(value)}`);
  }
  if (ruler) {
    const place = [(column + 0.5) * ruler.mm, (row + 0.5) * ruler.mm * aspect].map((mm) => mm.toFixed(1));
    parts.push(`${place.join(", ")} mm ${ruler.label}`);
  }
  return parts.join("  ·  ");
}

// The file's own values, fetched when the cursor first asks; the last two pictures' are kept.
const greys = new Map();

function greysOf(url, mount) {
  if (!greys.has(url)) {
    greys.set(url, null);
    fetch(url)
      .then((answer) => (answer.ok ? answer.arrayBuffer() : Promise.reject(new Error(answer.status))))
      .then((bytes) => greys.set(url, new Uint16Array(bytes)) && mount.redraw())
      // Asked for again at the next move: the server may have been away.
      .catch(() => greys.delete(url));
    while (greys.size > 2) greys.delete(greys.keys().next().value);
  }
  return greys.get(url);
}

function rule(element, ruler, pixels) {
  element.hidden = !ruler;
  if (!ruler) return;
  const perMm = pixels / ruler.mm;
  const mm = STEPS_MM.findLast((step) => step * perMm <= 160) ?? STEPS_MM[0];
  element.style.width = `${mm * perMm}px`;
  element.dataset.label = `${mm} mm ${ruler.label}`;
}

function listen(mount, stage) {
  const size = () => {
    const scale = fitOf(mount, { width: stage.clientWidth, height: stage.clientHeight }) * mount.view.scale;
    const [width, height] = sidesOf(mount.view, mount.data.shape, mount.data.aspect).map((side) => side * scale);
    return { width, height };
  };
  const look = (event) => {
    const box = stage.getBoundingClientRect();
    const { width, height } = size();
    const { view } = mount;
    const shown = [
      view.x + (event.clientX - box.x - box.width / 2) / width,
      view.y + (event.clientY - box.y - box.height / 2) / height,
    ];
    const inside = shown.every((part) => part >= 0 && part < 1);
    Object.assign(view, { cursor: inside ? pictureAt(view, shown) : null, under: stage });
    tell(view);
  };
  const zoom = (factor, dx = 0, dy = 0) => {
    const before = size();
    const { x, y, scale } = mount.view;
    const next = Math.min(Math.max(scale * factor, 1), MAX_SCALE);
    const gain = next / scale;
    // The point under the cursor, (dx, dy) from the stage's centre, stays where it is.
    change(mount.view, {
      scale: next,
      x: x + (dx / before.width) * (1 - 1 / gain),
      y: y + (dy / before.height) * (1 - 1 / gain),
    });
  };
  const move = (dx, dy) => {
    const { width, height } = size();
    change(mount.view, { x: mount.view.x - dx / width, y: mount.view.y - dy / height });
  };
  stage.addEventListener("wheel", (event) => {
    event.preventDefault();
    const box = stage.getBoundingClientRect();
    zoom(Math.exp(-event.deltaY / 500), event.clientX - box.x - box.width / 2, event.clientY - box.y - box.height / 2);
  }, { passive: false });
  let last = null;
  stage.addEventListener("pointerdown", (event) => {
    stage.setPointerCapture(event.pointerId);
    last = [event.clientX, event.clientY];
  });
  stage.addEventListener("pointerleave", () => {
    mount.view.cursor = null;
    tell(mount.view);
  });
  stage.addEventListener("pointermove", (event) => {
    if (!last) return look(event);
    move(event.clientX - last[0], event.clientY - last[1]);
    last = [event.clientX, event.clientY];
  });
  for (const name of ["pointerup", "pointercancel"]) stage.addEventListener(name, () => (last = null));
  stage.addEventListener("dblclick", () => ACTIONS.Fit(mount.view));
  const keys = {
    "+": () => zoom(1.25), "=": () => zoom(1.25), "-": () => zoom(0.8),
    0: () => ACTIONS.Fit(mount.view), r: () => ACTIONS.Rotate(mount.view), f: () => ACTIONS.Flip(mount.view),
    ArrowLeft: () => move(40, 0), ArrowRight: () => move(-40, 0), ArrowUp: () => move(0, 40), ArrowDown: () => move(0, -40),
  };
  stage.addEventListener("keydown", (event) => {
    if (!(event.key in keys) || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    keys[event.key]();
  });
}
