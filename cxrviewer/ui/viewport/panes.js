// Panes of one radiograph that zoom and pan together. All text is set as text, never as markup.
// The view (scale, centre) is kept in fractions of the picture, so panes of any size share it, also across mounts.

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
  if (!views.has(key)) views.set(key, { scale: 1, x: 0.5, y: 0.5, listeners: new Set() });
  return views.get(key);
}

function change(view, next) {
  view.scale = Math.min(Math.max(next.scale ?? view.scale, 1), MAX_SCALE);
  const margin = 0.5 / view.scale;
  const within = (value) => Math.min(Math.max(value, margin), 1 - margin);
  view.x = within(next.x ?? view.x);
  view.y = within(next.y ?? view.y);
  for (const redraw of view.listeners) redraw();
}

function build(mount) {
  const { data, root } = mount;
  root.classList.toggle("single", data.panes.length === 1);
  root.style.setProperty("--count", data.panes.length);
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
    title: make("div", "title", stage), corner: make("div", "corner", stage),
    ruler: make("div", "ruler", stage), wait: make("div", "wait", stage),
    legend: make("div", "legend", figure), caption: make("figcaption", "caption", figure),
  };
  for (const image of [parts.base, parts.overlay]) {
    image.draggable = false;
    image.addEventListener("load", () => image.classList.add("loaded"));
  }
  parts.overlay.alt = "";
  listen(mount, stage);
  return parts;
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
  parts.stage.style.height = data.height;
  parts.stage.setAttribute("aria-label", `${pane.alt}. Zoom with + and -, move with the arrows, 0 fits.`);
  parts.stage.setAttribute("role", "group");
  parts.title.textContent = pane.title;
  parts.title.title = pane.hint;
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
  const [height, width] = data.shape;
  for (const { stage, film, corner, ruler } of mount.panes.values()) {
    const box = { width: stage.clientWidth, height: stage.clientHeight };
    if (!box.width || !box.height) continue;
    const fit = Math.min(box.width / width, box.height / (height * data.aspect));
    const shown = { width: width * fit * view.scale, height: height * data.aspect * fit * view.scale };
    film.style.width = `${shown.width}px`;
    film.style.height = `${shown.height}px`;
    film.style.transform =
      `translate(${box.width / 2 - view.x * shown.width}px, ${box.height / 2 - view.y * shown.height}px)`;
    corner.textContent = view.scale > 1.005 ? `×${view.scale.toFixed(1)}` : "";
    rule(ruler, data.ruler, fit * view.scale);
  }
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
    const [height, width] = mount.data.shape;
    const fit = Math.min(stage.clientWidth / width, stage.clientHeight / (height * mount.data.aspect));
    const scale = fit * mount.view.scale;
    return { width: width * scale, height: height * mount.data.aspect * scale };
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
  stage.addEventListener("pointermove", (event) => {
    if (!last) return;
    move(event.clientX - last[0], event.clientY - last[1]);
    last = [event.clientX, event.clientY];
  });
  for (const name of ["pointerup", "pointercancel"]) stage.addEventListener(name, () => (last = null));
  stage.addEventListener("dblclick", () => change(mount.view, { scale: 1, x: 0.5, y: 0.5 }));
  const keys = {
    "+": () => zoom(1.25), "=": () => zoom(1.25), "-": () => zoom(0.8),
    0: () => change(mount.view, { scale: 1, x: 0.5, y: 0.5 }),
    ArrowLeft: () => move(40, 0), ArrowRight: () => move(-40, 0), ArrowUp: () => move(0, 40), ArrowDown: () => move(0, -40),
  };
  stage.addEventListener("keydown", (event) => {
    if (!(event.key in keys) || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    keys[event.key]();
  });
}
