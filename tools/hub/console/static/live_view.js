// The live view of a device's panel, and the commissioning view: face heights, and the zone, drawn by pointer or keys.
"use strict";

const SVG = "http://www.w3.org/2000/svg";
const STEP = 10, LARGE_STEP = 50;  // thousandths that a key moves a corner
let drafts = new Map();            // the zone that is being drawn, by device and camera: corners in thousandths

function drawView(panel, device) {
  const box = panel.querySelector(".view");
  const reading = device.live_view;
  box.hidden = reading === null || !reading.allowed || view.user?.role === "auditor";
  if (box.hidden) return;
  const on = reading.until !== null && reading.until !== undefined;
  const button = box.querySelector("[data-view]");
  button.dataset.view = on ? "end-view" : "view";
  text(button, t(on ? "End the live view" : "Live view"));
  button.setAttribute("aria-label", `${button.textContent} ${device.id}`);
  button.onclick = () => command(device.id, button.dataset.view);
  const large = box.querySelector("[data-large]");
  large.hidden = !on;
  if (!on) box.classList.remove("wide");
  text(large, t(box.classList.contains("wide") ? "Smaller" : "Larger"));
  large.setAttribute("aria-pressed", String(box.classList.contains("wide")));
  large.onclick = () => { box.classList.toggle("wide"); drawView(panel, device); };
  text(box.querySelector(".view-words"), on ? t("Pixelated live view until {time}, asked for by {who}; nothing of it is kept.", { time: clockTime(reading.until), who: device.view?.given_by || reading.given_by || "–" }) : "");
  const cameras = on && device.view !== null ? device.view.cameras : {};
  const none = box.querySelector(".view-none");
  none.hidden = !on || Object.keys(cameras).length > 0;
  text(none, t("No picture comes."));
  drawViewPictures(box.querySelector(".view-pictures"), device, cameras);
}

function drawViewPictures(holder, device, cameras) {
  const names = Object.keys(cameras).sort();
  const shown = new Map([...holder.children].map((each) => [each.dataset.camera, each]));
  names.forEach((name) => {
    const place = shown.get(name) || holder.appendChild(newViewPicture(device.id, name));
    shown.delete(name);
    drawViewPicture(place, device, cameras[name]);
  });
  for (const gone of shown.values()) gone.remove();
}

function newViewPicture(device, name) {
  const place = make("div", "");
  place.dataset.camera = name;
  const figure = make("figure", "", "view-picture");
  const drawing = document.createElementNS(SVG, "svg");
  drawing.setAttribute("preserveAspectRatio", "none");
  figure.append(document.createElement("img"), drawing);
  const tools = make("p", "", "zone-tools");
  for (const [action, words] of [["publish", "Set this zone"], ["add", "Add a corner"], ["remove", "Remove the corner"], ["reset", "Undo changes"]]) {
    const button = make("button", t(words), "small");
    button.type = "button";
    button.dataset.zone = action;
    button.onclick = () => changeZone(place, device, name, action);
    tools.append(button);
  }
  place.append(figure, make("p", "", "faces-words quiet"), tools);
  return place;
}

function drawViewPicture(place, device, shown) {
  const image = place.querySelector("img");
  const name = place.dataset.camera;
  const source = `/devices/${encodeURIComponent(device.id)}/cameras/${encodeURIComponent(name)}/view?v=${shown.version}`;
  place.querySelector("figure").style.aspectRatio = `${shown.width} / ${shown.height}`;
  image.alt = t(shown.commissioning ? "Commissioning view of camera {name}" : "Pixelated live view of camera {name}", { name });
  if (image.getAttribute("src") !== source) image.src = source;
  const may = view.user === null || ["supervisor", "engineer"].includes(view.user.role);
  place.querySelector(".zone-tools").hidden = !shown.commissioning || !may;
  const words = place.querySelector(".faces-words");
  words.hidden = !shown.commissioning;
  const heights = shown.faces.map(([, , height]) => `${height} px`).join(", ");
  text(words, `${t("Face heights")}: ${heights || t("no face in view")}. ${t("At least {n} px are searched for.", { n: number(Math.round(shown.min_face_px)) })}`);
  drawMarks(place, device.id, shown, may);
}

function drawMarks(place, device, shown, may) {
  const drawing = place.querySelector("svg");
  const [wide, high] = [shown.columns, shown.rows];
  drawing.setAttribute("viewBox", `0 0 ${wide} ${high}`);
  const faces = shown.commissioning ? shown.faces : [];
  const key = JSON.stringify([faces, shown.min_face_px, wide, high]);
  if (drawing.dataset.faces !== key) {
    drawing.dataset.faces = key;
    for (const old of drawing.querySelectorAll(".mark")) old.remove();
    for (const [column, row, height] of faces) {
      const box = shape("rect", { x: column, y: row, width: 1, height: 1, class: `mark face${height < shown.min_face_px ? " small" : ""}` });
      const words = shape("text", { x: column + 0.5, y: row + 0.5, "font-size": 0.42, class: "mark" });
      words.textContent = height;
      drawing.prepend(box, words);
    }
  }
  const id = `${device}/${place.dataset.camera}`;
  if (shown.commissioning) drawZone(place, id, shown, may);
  else for (const old of drawing.querySelectorAll(".zone, .corner")) old.remove();
}

function shape(kind, attributes) {
  const element = document.createElementNS(SVG, kind);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

function drawZone(place, id, shown, may) {
  place.dataset.published = JSON.stringify(shown.zone);
  const drawing = place.querySelector("svg");
  const corners = drafts.get(id) || shown.zone;
  let area = drawing.querySelector(".zone");
  if (!area) area = drawing.appendChild(shape("polygon", { class: "zone" }));
  const at = ([x, y]) => [x / 1000 * shown.columns, y / 1000 * shown.rows];
  area.setAttribute("points", corners.map((corner) => at(corner).join(",")).join(" "));
  const handles = [...drawing.querySelectorAll(".corner")];
  for (const extra of handles.slice(may ? corners.length : 0)) extra.remove();
  if (!may) return;
  corners.forEach((corner, n) => {
    const handle = handles[n] || drawing.appendChild(newCorner(place, id, n));
    const [x, y] = at(corner);
    handle.setAttribute("cx", x);
    handle.setAttribute("cy", y);
    handle.setAttribute("aria-label", t("Corner {n} of the zone: {x} % from the left, {y} % from the top", { n: n + 1, x: Math.round(corner[0] / 10), y: Math.round(corner[1] / 10) }));
  });
}

function newCorner(place, id, n) {
  const handle = shape("circle", { r: 0.28, class: "corner", tabindex: 0, role: "button" });
  const drawing = place.querySelector("svg");
  handle.addEventListener("pointerdown", (pressed) => { handle.setPointerCapture(pressed.pointerId); handle.focus(); pressed.preventDefault(); });
  handle.addEventListener("pointermove", (moved) => {
    if (!handle.hasPointerCapture(moved.pointerId)) return;
    const box = drawing.getBoundingClientRect();
    moveCorner(place, id, n, [(moved.clientX - box.x) / box.width * 1000, (moved.clientY - box.y) / box.height * 1000]);
  });
  handle.addEventListener("keydown", (pressed) => {
    const ways = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const way = ways[pressed.key];
    if (!way) return;
    const by = pressed.shiftKey ? LARGE_STEP : STEP;
    const [x, y] = cornersOf(place, id)[n];
    moveCorner(place, id, n, [x + way[0] * by, y + way[1] * by]);
    pressed.preventDefault();
    pressed.stopPropagation();
  });
  handle.addEventListener("focus", () => { place.dataset.corner = n; });
  return handle;
}

function cornersOf(place, id) {
  return (drafts.get(id) || JSON.parse(place.dataset.published)).map((corner) => [...corner]);
}

function moveCorner(place, id, n, to) {
  const corners = cornersOf(place, id);
  corners[n] = to.map((part) => Math.round(Math.min(1000, Math.max(0, part))));
  redraw(id, corners);
}

function redraw(id, corners) {
  if (corners === null) drafts.delete(id);
  else drafts.set(id, corners);
  draw(view);
}

async function changeZone(place, device, name, action) {
  const id = `${device}/${name}`;
  const corners = cornersOf(place, id);
  const n = Math.min(Number(place.dataset.corner || 0), corners.length - 1);
  if (action === "reset") return redraw(id, null);
  if (action === "remove" && corners.length > 3) corners.splice(n, 1);
  if (action === "add" && corners.length < 64) {
    const next = corners[(n + 1) % corners.length];
    corners.splice(n + 1, 0, [0, 1].map((part) => Math.round((corners[n][part] + next[part]) / 2)));
  }
  if (action !== "publish") return redraw(id, corners);
  try {
    const answer = await post(`/devices/${device}/zone`, { camera_id: name, polygon: corners });
    if (!answer.ok) throw new Error(await answer.text());
    redraw(id, null);
  } catch (fault) {
    problem(`${t("The command was not sent")}: ${fromHub(fault.message)}`);
  }
}
