// The page of the van hub: draws whole snapshots, sends decisions. Text is only ever set as text.
"use strict";

const byId = (id) => document.getElementById(id);
const token = document.querySelector("meta[name=csrf]").content;
const cards = new Map();
let now = Date.now();
let clockOffset = 0;
let first = true;

const STATES = {
  safe: "Safe", ready: "Ready", armed: "Armed", recognising: "Recognising", inhibited: "Inhibited", ending: "Erasing",
};
const MARKS = { holds: "✓", fails: "✕", pending: "…", not_yet_required: "–" };
const MARK_WORDS = { holds: "holds", fails: "fails", pending: "not known yet", not_yet_required: "not yet required" };
const MODES = { demo: "demonstration only", test: "test, consenting subjects only", operational: "" };
const OPERATORS = { present: "operator present", simulated: "operator simulated, recordings only", absent: "no operator" };
const LANGUAGES = { en: "English", cy: "Cymraeg" };
const WHAT = { alert: "alert", probe: "picture", watchlist: "watchlist", template: "templates", outbox: "alert", reference: "reference photos" };
const WHY = {
  false_alert: "false alert", expiry: "nobody judged it in time", end_of_deployment: "end of deployment", retention: "its time was over",
  no_match: "no match", end_of_hold: "end of hold", room: "room was needed",
};

function text(element, value) {
  if (element.textContent !== value) element.textContent = value;
}

function number(value) {
  return value === null || value === undefined ? "–" : value.toLocaleString("en-GB");
}

function clockTime(iso) {
  return new Date(iso).toLocaleTimeString("en-GB");
}

function span(seconds) {
  if (seconds < 60) return `${Math.max(0, Math.floor(seconds))} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${String(Math.floor(seconds % 60)).padStart(2, "0")} s`;
  if (seconds < 172800) {
    const rest = `${String(Math.floor((seconds % 3600) / 60)).padStart(2, "0")} min ${String(Math.floor(seconds % 60)).padStart(2, "0")} s`;
    return `${Math.floor(seconds / 3600)} h ${rest}`;
  }
  return `${Math.floor(seconds / 86400)} days ${Math.floor((seconds % 86400) / 3600)} h`;
}

function several(count, word) {
  return `${number(count)} ${word}${count === 1 ? "" : "s"}`;
}

function photoAge(days) {
  if (days < 60) return `${several(days, "day")} old`;
  if (days < 730) return `${several(Math.floor(days / 30.44), "month")} old`;
  return `${several(Math.floor(days / 365.25), "year")} old`;
}

function capital(words) {
  return words ? words[0].toUpperCase() + words.slice(1) : "";
}

function reason(words) {
  const cut = words.indexOf("; ");
  const wrong = make("strong", capital(cut < 0 ? words : words.slice(0, cut)));
  return cut < 0 ? [wrong] : [wrong, make("span", capital(words.slice(cut + 2)).replace(/`([^`]+)`/g, "“$1”"))];
}

function definition(list, entries) {
  const wanted = entries.map(([term]) => term).join("|");
  if (list.dataset.terms !== wanted) {
    list.dataset.terms = wanted;
    list.replaceChildren(...entries.map(([term]) => {
      const row = document.createElement("div");
      const dt = document.createElement("dt");
      dt.textContent = term;
      row.append(dt, document.createElement("dd"));
      return row;
    }));
  }
  entries.forEach(([, value], n) => text(list.children[n].lastChild, value));
}

function items(list, entries) {
  const wanted = JSON.stringify(entries.map(([content, kind]) => [content.map((part) => part.textContent ?? part), kind]));
  if (list.dataset.shown === wanted) return;
  list.dataset.shown = wanted;
  list.replaceChildren(...entries.map(([content, kind]) => {
    const item = document.createElement("li");
    if (kind) item.className = kind;
    item.append(...content);
    return item;
  }));
}

function make(tag, content, kind) {
  const element = document.createElement(tag);
  element.textContent = content;
  if (kind) element.className = kind;
  return element;
}

// ---- devices ----

function heard(device) {
  return device.status === "online" && device.state !== null;
}

function stateWord(device) {
  return device.status === "stopped" ? "Stopped" : heard(device) ? STATES[device.state] : "Not heard";
}

function stateKind(device) {
  return device.status === "stopped" ? "" : heard(device) ? device.state : "lost";
}

function drawDevice(panel, device, mode) {
  const other = device.mode !== null && device.mode !== mode ? ` – runs as ${device.mode.toUpperCase()}` : "";
  text(panel.querySelector(".device-id"), `Device ${device.id}${other}`);
  const state = panel.querySelector(".state");
  state.className = `state ${stateKind(device)}`;
  text(state.querySelector(".state-word"), stateWord(device));
  const reasons = heard(device) ? device.inhibit_reasons : [];
  text(panel.querySelector(".state-why"), reasons.length ? "" : why(device));
  panel.querySelector(".state-why").hidden = reasons.length > 0;
  items(panel.querySelector(".reasons"), reasons.map((words) => [reason(words), ""]));
  drawStreet(panel, device, !heard(device));
  drawCounters(panel, device);
  drawConditions(panel.querySelector(".conditions"), device.conditions);
}

function why(device) {
  if (device.status === "stopped") return "Ended cleanly.";
  if (!heard(device)) return "No device has reported to this hub yet, or its connection was lost.";
  return capital(Object.entries(device.cameras).map(([name, status]) => `camera ${name} ${status}`).join(", "));
}

function drawStreet(panel, device, dark) {
  const lamps = device.lamps || {};
  const lit = !dark && lamps.sign_sensed === true;
  const sign = panel.querySelector(".sign");
  sign.classList.toggle("lit", lit);
  sign.setAttribute("aria-label", lit ? "The sign is lit" : "The sign is dark");
  let said = lit ? "Sign lit, as sensed" : "Sign dark";
  if (!dark && lamps.sign_driven !== undefined && lamps.sign_driven !== lamps.sign_sensed) {
    said = lamps.sign_driven ? "Sign driven but not sensed lit" : "Sign sensed lit while switched off";
  }
  text(panel.querySelector(".sign-text"), said + (lamps.simulated ? " (simulated)" : ""));
  items(panel.querySelector(".lamps"), ["power", "recognising", "alert", "fault"].map((name) => {
    const on = !dark && lamps[name] === true;
    return [[make("span", "", "lamp"), make("span", name), make("span", on ? " on" : " off", "visually-hidden")], on ? `on ${name}` : name];
  }));
}

function drawCounters(panel, device) {
  const stats = device.stats || {};
  const list = device.watchlist;
  definition(panel.querySelector(".counters"), [
    ["faces seen", number(stats.faces_seen)],
    ["possible matches", number(stats.alerts)],
    ["discarded at once", number(stats.discarded)],
    ["templates made", number(stats.templates)],
    ["frames a second", device.fps === null || device.fps === undefined ? "–" : device.fps.toFixed(1)],
    ["people listed", list ? (list.erased ? "erased" : number(list.subjects)) : "–"],
  ]);
  const balance = panel.querySelector(".balance");
  const lost = stats.lost || 0;
  const open = stats.faces_seen - stats.discarded - lost - stats.alerts;
  balance.classList.toggle("odd", open < 0);
  const rest = (lost ? ` + ${number(lost)} lost with a worker` : "") + (open > 0 ? ` + ${number(open)} still in view` : "");
  text(balance, stats.faces_seen === undefined ? "" : `${number(stats.faces_seen)} seen = ${number(stats.discarded)} discarded + ${number(stats.alerts)} alerted${rest}`);
}

function drawConditions(box, conditions) {
  box.hidden = conditions.length === 0;
  const count = (result) => conditions.filter((row) => row.result === result).length;
  const [failing, pending, later] = [count("fails"), count("pending"), count("not_yet_required")];
  const words = [
    failing && `${failing} not met`, pending && `${pending} not known yet`,
    failing || pending ? `${count("holds")} met` : `All ${several(count("holds"), "condition")} met`,
    later && `${later} not yet required`,
  ].filter(Boolean);
  text(box.querySelector("summary"), (failing || pending ? "Conditions: " : "") + words.join(", "));
  const order = { fails: 0, pending: 1, holds: 2, not_yet_required: 3 };
  const rows = [...conditions].sort((a, b) => order[a.result] - order[b.result]);
  items(box.querySelector("ul"), rows.map((row) => {
    const late = row.result === "pending" || row.result === "not_yet_required" ? ` (${MARK_WORDS[row.result]})` : "";
    const mark = make("span", MARKS[row.result]);
    mark.setAttribute("aria-hidden", "true");
    return [[mark, make("span", capital(row.text) + late), make("span", late ? "" : ` (${MARK_WORDS[row.result]})`, "visually-hidden")], row.result];
  }));
}

// ---- cases ----

function newCard(id) {
  const card = byId("case-template").content.firstElementChild.cloneNode(true);
  card.setAttribute("aria-label", "Possible match");
  for (const button of card.querySelectorAll("button[data-outcome]")) {
    button.addEventListener("click", () => decide(card, id, "adjudication", button.dataset.outcome));
  }
  for (const select of card.querySelectorAll("select")) {
    select.addEventListener("change", () => select.value && decide(card, id, select.dataset.kind, select.value));
  }
  return card;
}

function picture(box, source, words) {
  const shown = box.querySelector("img");
  if (!source) {
    if (shown) shown.remove();
    box.firstElementChild.hidden = false;
    return;
  }
  if (shown && shown.getAttribute("src") === source) return;
  const image = shown || document.createElement("img");
  image.alt = words;
  image.src = source;
  box.firstElementChild.hidden = true;
  if (!shown) box.append(image);
}

function badges(entry) {
  const list = [[entry.mode.toUpperCase(), entry.mode === "operational" ? "" : "warn"]];
  if (entry.blue_list) list.push(["consenting test subject", "warn"]);
  if (entry.category) list.push([entry.category, ""]);
  if (entry.response_code) list.push([`response ${entry.response_code}`, ""]);
  if (entry.contradicted_by.length) list.push(["at most one can be right", "warn"]);
  if (entry.picture_damaged) list.push(["picture damaged", "warn"]);
  if (entry.historical) list.push(["late: for information only", "warn"]);
  return list;
}

function drawCard(card, entry) {
  card.className = `case${entry.outcome ? " judged" : ""}${card.classList.contains("new") ? " new" : ""}`;
  const row = card.querySelector(".badges");
  const wanted = badges(entry);
  if (row.dataset.shown !== JSON.stringify(wanted)) {
    row.dataset.shown = JSON.stringify(wanted);
    row.replaceChildren(...wanted.map(([content, kind]) => make("span", content, kind)));
  }
  text(card.querySelector(".case-decide"), entry.outcome ? "judged by a person" : "the decision is yours");
  picture(card.querySelector(".seen"), entry.probe && `/cases/${entry.id}/probe?v=${entry.probe}`, "Face seen by the camera");
  picture(card.querySelector(".listed"), entry.reference && `/cases/${entry.id}/reference`, "Reference photo of the listed person");
  text(card.querySelector(".seen-name"), clockTime(entry.captured_at));
  text(card.querySelector(".seen-caption"), entry.zone);
  text(card.querySelector(".listed-name"), entry.label);
  const photo = [entry.image_source ? `${entry.image_source} photo` : "photo", entry.image_age_days === null ? "age not known" : photoAge(entry.image_age_days)];
  text(card.querySelector(".listed-caption"), photo.join(", "));
  text(card.querySelector(".score"), entry.score.toFixed(3));
  text(card.querySelector(".above"), `+${entry.margin.toFixed(3)} over the threshold, ${entry.threshold.toFixed(3)}`);
  drawScale(card.querySelector(".scale"), entry);
  definition(card.querySelector(".facts"), [
    ["quality", `${Math.round(entry.quality * 100)} %`],
    ["gap to next", entry.second_best_gap === null ? "–" : entry.second_best_gap.toFixed(3)],
    ["eyes apart", `${Math.round(entry.inter_eye_px)} px`],
    ["shots used", String(entry.faces_used)],
    ["delay", entry.latency_ms < 10000 ? `${Math.round(entry.latency_ms)} ms` : span(entry.latency_ms / 1000)],
  ]);
  const rate = entry.predicted_far ? `, predicted false alerts 1 in ${number(Math.round(1 / entry.predicted_far))} faces` : "";
  text(card.querySelector(".against"), `Compared with ${entry.list_size === 1 ? "1 person" : `${number(entry.list_size)} people`} listed${rate}; sign ${entry.sign}.`);
  const doubts = card.querySelector(".doubts");
  text(doubts, doubtsOf(entry).join(" "));
  doubts.hidden = !doubts.textContent;
  card.querySelector(".judge").hidden = entry.outcome !== null;
  card.querySelector(".after").hidden = entry.outcome === null;
  for (const select of card.querySelectorAll("select")) {
    const value = entry[select.dataset.kind] || "";
    if (document.activeElement !== select && select.value !== value) select.value = value;
  }
  card.dataset.deleteBy = entry.delete_by;
  card.dataset.hold = entry.hold || "";
  drawErase(card);
}

function doubtsOf(entry) {
  const list = [];
  if (entry.contradicted_by.length) {
    const others = entry.contradicted_by.map((other) => (other.captured_at ? `of ${clockTime(other.captured_at)}` : other.id)).join(", ");
    list.push(`The alert ${others} names the same listed person, and both people were in view at the same time: at most one of these alerts can be right.`);
  }
  if (entry.picture_damaged) list.push("Data was lost between camera and device: parts of the face may be falsified.");
  return list;
}

function drawScale(scale, entry) {
  const clamp = (value) => Math.min(1, Math.max(0, value));
  scale.querySelector(".scale-fill").style.width = `${clamp(entry.score) * 100}%`;
  scale.querySelector(".scale-threshold").style.left = `${clamp(entry.threshold) * 100}%`;
  scale.setAttribute("aria-label", `Score ${entry.score.toFixed(3)} on a scale up to 1, threshold ${entry.threshold.toFixed(3)}`);
}

function drawErase(card) {
  const left = (new Date(card.dataset.deleteBy).getTime() - now) / 1000;
  text(card.querySelector(".erase"), card.dataset.hold ? `Held: ${card.dataset.hold}` : `Erased by itself in ${span(left)}; a false alert at once.`);
}

async function decide(card, id, kind, outcome) {
  const controls = card.querySelectorAll("button, select");
  for (const control of controls) control.disabled = true;
  try {
    const answer = await fetch(`/cases/${id}/${kind}`, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-CSRF-Token": token },
      body: JSON.stringify({ outcome }),
    });
    if (!answer.ok && answer.status !== 404) throw new Error(await answer.text());
  } catch (fault) {
    banner(`The decision was not taken: ${fault.message}`);
  } finally {
    for (const control of controls) control.disabled = false;
  }
}

function drawCases(entries, leftUnjudged) {
  const region = byId("cases");
  const present = new Set(entries.map((entry) => entry.id));
  for (const [id, card] of cards) {
    if (!present.has(id)) {
      if (card.contains(document.activeElement)) byId("cases-title").focus();
      card.remove();
      cards.delete(id);
    }
  }
  let arrived = 0;
  entries.forEach((entry, place) => {
    let card = cards.get(entry.id);
    if (!card) {
      card = newCard(entry.id);
      if (!first) card.classList.add("new");
      cards.set(entry.id, card);
      arrived += 1;
    }
    drawCard(card, entry);
    if (region.children[place] !== card) region.insertBefore(card, region.children[place] || null);
  });
  if (arrived) text(byId("announce"), `${arrived} new possible match${arrived > 1 ? "es" : ""}. The decision is yours.`);
  byId("empty").hidden = entries.length > 0;
  const open = entries.filter((entry) => entry.outcome === null).length;
  const left = leftUnjudged ? ` · ${number(leftUnjudged)} left unjudged: the desk was full` : "";
  text(byId("cases-count"), (entries.length ? (open ? `${open} to judge` : "all judged") : "") + left);
  document.title = `${open ? `(${open}) ` : ""}Van hub ${byId("mode").textContent}`;
}

// ---- the whole page ----

function banner(words) {
  byId("banner").hidden = !words;
  text(byId("banner"), words || "");
}

function draw(view) {
  clockOffset = new Date(view.now).getTime() - Date.now();
  now = Date.now() + clockOffset;
  text(byId("site"), view.site);
  const mode = byId("mode");
  mode.className = `mode ${view.mode}`;
  text(mode, view.mode.toUpperCase());
  text(byId("mode-words"), MODES[view.mode]);
  const link = byId("link");
  link.className = view.broker.online ? "link" : "link lost";
  const operator = OPERATORS[view.operator];
  text(link, view.broker.online ? `Broker connected · ${operator}` : `No broker: ${view.broker.text}`);
  const holder = byId("devices");
  while (holder.children.length > view.devices.length) holder.lastChild.remove();
  view.devices.forEach((device, n) => {
    if (!holder.children[n]) holder.append(byId("device-template").content.firstElementChild.cloneNode(true));
    drawDevice(holder.children[n], device, view.mode);
  });
  const many = view.devices.length > 1;
  const marks = view.devices.map((device) => make("span", (many ? `${device.id}: ` : "") + stateWord(device), `state ${stateKind(device)}`));
  if (byId("states").textContent !== marks.map((mark) => mark.textContent).join("")) byId("states").replaceChildren(...marks);
  drawCases(view.cases, view.left_unjudged);
  const discarded = view.devices.reduce((sum, device) => sum + (device.stats ? device.stats.discarded : 0), 0);
  text(byId("empty-text"), discarded ? `${number(discarded)} people passed, were compared and forgotten at once.` : "Faces that match nobody on the list are forgotten at once.");
  const receipts = view.receipts.map((r) => [[`${number(r.count)} ${WHAT[r.what]}${r.alert ? " …" + r.alert : ""}: ${WHY[r.reason]}`], ""]);
  items(byId("receipts"), receipts.length ? receipts : [[["Nothing has been deleted yet."], ""]]);
}

function drawNotice() {
  const notice = JSON.parse(byId("notice-text").textContent);
  byId("notice").replaceChildren(...Object.entries(notice).map(([language, words]) => {
    const paragraph = make("p", "");
    paragraph.lang = language;
    paragraph.append(make("strong", LANGUAGES[language] || language), make("span", words));
    return paragraph;
  }));
}

byId("cases-title").tabIndex = -1;
drawNotice();
draw(JSON.parse(byId("first").textContent));
first = false;
const stream = new EventSource("/events");
stream.onmessage = (message) => { banner(""); draw(JSON.parse(message.data)); };
stream.onerror = () => banner("This page has lost its hub. What you see is old; the device stops recognising without you.");
setInterval(() => {
  now = Date.now() + clockOffset;
  for (const card of cards.values()) drawErase(card);
}, 1000);
