// The page of the van hub: draws whole snapshots, sends decisions. Text is only ever set as text.
"use strict";

const REST_MS = 500;  // buttons rest after a change, so that a click meant for another case has no effect
const ASK_MS = 300, ASKED_MS = 5000;  // the second press that deletes comes this long after the first, at most and at least
const STALE_MS = 15000, PROBLEM_MS = 10000;
let shown = null;     // the card on the page: {id, element, version, restUntil, askedAt}
let view = null;      // the last snapshot
let viewAt = ticks();
let known = new Set();
let now = 0;          // the hub's clock, in ms since 1970
let first = true;

const STATES = {
  safe: "Safe", ready: "Ready", armed: "Armed", recognising: "Recognising", inhibited: "Inhibited", ending: "Erasing",
};
const MARKS = { holds: "✓", fails: "✕", pending: "…" };
const MARK_WORDS = { holds: "holds", fails: "fails", pending: "not known yet" };
const MODES = { demo: "demonstration only", test: "test, consenting subjects only", operational: "" };
const OPERATORS = { present: "operator present", simulated: "operator simulated, recordings only", absent: "no operator" };
const COMMANDS = { stop: "STOP", resume: "Resume", view: "Live view", "end-view": "End of the live view", zone: "Zone" };
const LANGUAGES = { en: "English", cy: "Cymraeg" };
const WHAT = { alert: "alert", probe: "picture", watchlist: "watchlist", template: "templates", outbox: "alert", reference: "reference photos" };
const WHY = {
  false_alert: "false alert", expiry: "not judged in time", end_of_deployment: "end of deployment", retention: "end of retention",
  no_match: "no match", end_of_hold: "end of hold", room: "room was needed", withdrawn: "withdrawn", tamper: "tamper",
};

function ticks() {  // ms on a clock that nobody sets: after a change of this computer's time no button rests for an hour
  return performance.now();
}

function hubTime() {
  return new Date(view.now).getTime() + ticks() - viewAt;
}

function text(element, value) {
  if (element.textContent !== value) element.textContent = value;
}

const NUMBER = new Intl.NumberFormat("en-GB"), TIME = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" });

function number(value) {
  return value === null || value === undefined ? "–" : NUMBER.format(value);
}

function clockTime(iso) {
  return TIME.format(new Date(iso));
}

function span(seconds) {
  if (seconds < 60) return `${Math.max(0, Math.floor(seconds))} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${String(Math.floor(seconds % 60)).padStart(2, "0")} s`;
  if (seconds < 172800) {
    const rest = `${String(Math.floor((seconds % 3600) / 60)).padStart(2, "0")} min ${String(Math.floor(seconds % 60)).padStart(2, "0")} s`;
    return `${Math.floor(seconds / 3600)} h ${rest}`;
  }
  return `${several(Math.floor(seconds / 86400), "day")} ${Math.floor((seconds % 86400) / 3600)} h`;
}

function several(count, word) {
  return `${number(count)} ${t(count === 1 ? word : `${word}s`)}`;
}

function photoAge(days) {
  if (days < 60) return t("{n} old", { n: several(days, "day") });
  if (days < 730) return t("{n} old", { n: several(Math.floor(days / 30.44), "month") });
  return t("{n} old", { n: several(Math.floor(days / 365.25), "year") });
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

function reporting(device) {
  return !device.unknown && device.status === "online" && device.state !== null;
}

function stateWord(device) {
  if (device.unknown) return t("Unknown");
  return t(device.status === "stopped" ? "Stopped" : reporting(device) ? STATES[device.state] : "Unknown");
}

function stateKind(device) {
  return device.status === "stopped" ? "" : reporting(device) ? device.state : "lost";
}

function drawDevice(panel, device, mode) {
  const other = device.mode !== null && device.mode !== mode ? ` – ${t("runs as {mode}", { mode: t(device.mode).toUpperCase() })}` : "";
  text(panel.querySelector(".device-id"), `${t("Device")} ${device.id}${other}`);
  const state = panel.querySelector(".state");
  state.className = `state ${stateKind(device)}`;
  text(state.querySelector(".state-word"), stateWord(device));
  const reasons = reporting(device) ? device.inhibit_reasons : [];
  text(panel.querySelector(".state-why"), reasons.length ? "" : why(device));
  panel.querySelector(".state-why").hidden = reasons.length > 0;
  items(panel.querySelector(".reasons"), reasons.map((words) => [reason(words), ""]));
  drawStreet(panel, device, !reporting(device));
  drawCommand(panel, device);
  drawView(panel, device);
  drawCounters(panel, device);
  drawConditions(panel.querySelector(".conditions"), device.conditions);
  items(panel.querySelector(".faults"), device.faults.map((fault) => [[`${t("Refused")}: ${fromHub(fault.problem)} (${number(fault.count)})`], ""]));
}

function unknownWords(words) {
  const silent = /^it has sent nothing for (\d+) s$/.exec(words);
  return silent ? t("it has sent nothing for {n} s", { n: silent[1] }) : t(words);
}

function why(device) {
  if (device.unknown) return `${capital(unknownWords(device.unknown))}. ${device.heard_at ? `${t("Last report")} ${clockTime(device.heard_at)}` : t("No report yet")}; ${t("it may be recognising or not.")}`;
  if (device.status === "stopped") return t("Ended cleanly.");
  if (!reporting(device)) return t("No device has reported to this hub yet, or its connection was lost.");
  return capital(Object.entries(device.cameras).map(([name, status]) => `${t("camera")} ${name} ${status.split(", ").map((part) => t(part)).join(", ")}`).join(", "));
}

function drawStreet(panel, device, dark) {
  const lamps = device.lamps || {};
  const lit = !dark && lamps.sign_sensed === true;
  const sign = panel.querySelector(".sign");
  sign.classList.toggle("lit", lit);
  sign.classList.toggle("unknown", dark && device.status !== "stopped");
  const unknown = dark && device.status !== "stopped";
  sign.setAttribute("aria-label", t(unknown ? "Whether the sign is lit is unknown" : lit ? "The sign is lit" : "The sign is dark"));
  let said = unknown ? "Sign unknown" : lit ? "Sign lit, as sensed" : "Sign dark";
  if (!dark && lamps.sign_driven !== undefined && lamps.sign_driven !== lamps.sign_sensed) {
    said = lamps.sign_driven ? "Sign driven but not sensed lit" : "Sign sensed lit while switched off";
  }
  text(panel.querySelector(".sign-text"), t(said) + (lamps.simulated ? ` (${t("simulated")})` : ""));
  items(panel.querySelector(".lamps"), ["power", "recognising", "alert", "fault"].map((name) => {
    const on = !dark && lamps[name] === true;
    return [[make("span", "", "lamp"), make("span", t(name)), make("span", ` ${t(on ? "on" : "off")}`, "visually-hidden")], on ? `on ${name}` : name];
  }));
}

function drawCounters(panel, device) {
  const stats = device.stats || {};
  const list = device.watchlist;
  definition(panel.querySelector(".counters"), [
    [t("faces seen"), number(stats.faces_seen)],
    [t("possible matches"), number(stats.alerts)],
    [t("discarded at once"), number(stats.discarded)],
    [t("templates made"), number(stats.templates)],
    [t("frames a second"), device.fps === null || device.fps === undefined ? "–" : device.fps.toFixed(1)],
    [t("people listed"), list ? (list.erased ? t("erased") : number(list.subjects)) : "–"],
  ]);
  const balance = panel.querySelector(".balance");
  const lost = stats.lost || 0;
  const open = stats.faces_seen - stats.discarded - lost - stats.alerts;
  balance.classList.toggle("odd", open < 0);
  const rest = (lost ? ` + ${number(lost)} ${t("lost with a worker")}` : "") + (open > 0 ? ` + ${number(open)} ${t("still in view")}` : "");
  text(balance, stats.faces_seen === undefined ? "" : `${number(stats.faces_seen)} ${t("seen")} = ${number(stats.discarded)} ${t("discarded")} + ${number(stats.alerts)} ${t("alerted")}${rest}`);
}

function drawConditions(box, conditions) {
  box.hidden = conditions.length === 0;
  if (box.hidden) return;
  const count = (result) => conditions.filter((row) => row.result === result).length;
  const [failing, pending] = [count("fails"), count("pending")];
  const words = [
    failing && `${failing} ${t("not met")}`, pending && `${pending} ${t("not known yet")}`,
    failing || pending ? `${count("holds")} ${t("met")}` : t("All {n} met", { n: several(count("holds"), "condition") }),
  ].filter(Boolean);
  text(box.querySelector("summary"), (failing || pending ? `${t("Conditions")}: ` : "") + words.join(", "));
  const order = { fails: 0, pending: 1, holds: 2 };
  const rows = [...conditions].sort((a, b) => order[a.result] - order[b.result]);
  items(box.querySelector("ul"), rows.map((row) => {
    const late = row.result === "pending" ? ` (${t(MARK_WORDS[row.result])})` : "";
    const mark = make("span", MARKS[row.result]);
    mark.setAttribute("aria-hidden", "true");
    return [[mark, make("span", capital(row.text) + late), make("span", late ? "" : ` (${t(MARK_WORDS[row.result])})`, "visually-hidden")], row.result];
  }));
}

// ---- cases ----

function newCard(id) {
  const card = byId("case-template").content.firstElementChild.cloneNode(true);
  card.setAttribute("aria-label", t("Possible match"));
  for (const button of card.querySelectorAll("button[data-outcome]")) {
    button.addEventListener("click", () => press(id, button.dataset.outcome));
  }
  for (const select of card.querySelectorAll(".after select")) {
    select.addEventListener("change", () => select.value && decide(card, id, select.dataset.kind, select.value));
  }
  wireCaseTools(card, id);
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
  const list = [[t(entry.mode).toUpperCase(), entry.mode === "operational" ? "" : "warn"]];
  if (entry.blue_list) list.push([t("consenting test subject"), "warn"]);
  if (entry.category) list.push([entry.category, ""]);
  if (entry.response_code) list.push([`${t("response")} ${entry.response_code}`, ""]);
  if (entry.contradicted_by.length) list.push([t("at most one can be right"), "warn"]);
  if (entry.picture_damaged) list.push([t("picture damaged"), "warn"]);
  if (entry.historical) list.push([t("late: for information only"), "warn"]);
  return list;
}

function drawCard(card, entry) {
  card.className = `case${entry.outcome ? " judged" : ""}${resting() ? " resting" : ""}`;
  card.dataset.id = entry.id;
  const row = card.querySelector(".badges");
  const wanted = badges(entry);
  if (row.dataset.shown !== JSON.stringify(wanted)) {
    row.dataset.shown = JSON.stringify(wanted);
    row.replaceChildren(...wanted.map(([content, kind]) => make("span", content, kind)));
  }
  picture(card.querySelector(".seen"), entry.probe && `/cases/${entry.id}/probe?v=${entry.probe}`, t("Face seen by the camera"));
  picture(card.querySelector(".listed"), entry.reference && `/cases/${entry.id}/reference`, t("Reference photo of the listed person"));
  card.dataset.seenAt = entry.captured_at;
  card.dataset.actBy = entry.historical ? "" : entry.expires_at;
  text(card.querySelector(".seen-caption"), `${entry.device} · ${entry.camera} · ${entry.zone}`);
  card.querySelector(".seen-caption").title = [`${t("Device")} ${entry.device}`, `${t("camera")} ${entry.camera}`, `${t("zone")} ${entry.zone}`].join(", ");
  text(card.querySelector(".listed-name"), entry.label === "Listed person" ? t(entry.label) : entry.label);
  text(card.querySelector(".listed-caption"), photoWords(entry));
  text(card.querySelector(".score"), entry.score.toFixed(3));
  text(card.querySelector(".above"), `+${entry.margin.toFixed(3)} ${t("over the threshold")}, ${entry.threshold.toFixed(3)}`);
  drawScale(card.querySelector(".scale"), entry);
  definition(card.querySelector(".facts"), [
    [t("quality"), `${Math.round(entry.quality * 100)} %`],
    [t("gap to next"), entry.second_best_gap === null ? "–" : entry.second_best_gap.toFixed(3)],
    [t("eyes apart"), `${Math.round(entry.inter_eye_px)} px`],
    [t("shots used"), String(entry.faces_used)],
    [t("delay"), entry.latency_ms < 10000 ? `${Math.round(entry.latency_ms)} ms` : span(entry.latency_ms / 1000)],
  ]);
  const rate = entry.predicted_far ? `, ${t("predicted false alerts 1 in {n} faces", { n: number(Math.round(1 / entry.predicted_far)) })}` : "";
  text(card.querySelector(".against"), `${t("Compared with {n}", { n: several(entry.list_size, "listed person") })}${rate}; ${t("sign")} ${t(entry.sign)}.`);
  const doubts = card.querySelector(".doubts");
  text(doubts, doubtsOf(entry).join(" "));
  doubts.hidden = !doubts.textContent;
  card.querySelector(".judge").hidden = card.querySelector(".judge-box").hidden = entry.outcome !== null || !entry.judgeable;
  drawHold(card, entry);
  card.querySelector(".gone-words").hidden = entry.outcome !== null || entry.judgeable;
  card.querySelector(".after").hidden = entry.outcome === null;
  for (const select of card.querySelectorAll(".after select")) {
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
    const others = entry.contradicted_by.map((other) => (other.captured_at ? `${t("of")} ${clockTime(other.captured_at)}` : other.id)).join(", ");
    list.push(t("The alert {others} names the same listed person, and both people were in view at the same time: at most one of these alerts can be right.", { others }));
  }
  if (entry.look_alike) list.push(lookAlike(entry));
  if (entry.picture_damaged) list.push(t("Data was lost between camera and device: parts of the face may be falsified."));
  return list;
}

function drawScale(scale, entry) {
  const clamp = (value) => Math.min(1, Math.max(0, value));
  scale.querySelector(".scale-fill").style.width = `${clamp(entry.score) * 100}%`;
  scale.querySelector(".scale-threshold").style.left = `${clamp(entry.threshold) * 100}%`;
  scale.setAttribute("aria-label", t("Score {score} on a scale up to 1, threshold {threshold}", { score: entry.score.toFixed(3), threshold: entry.threshold.toFixed(3) }));
}

function drawErase(card) {
  const ago = (now - new Date(card.dataset.seenAt).getTime()) / 1000;
  const act = card.dataset.actBy ? (new Date(card.dataset.actBy).getTime() - now) / 1000 : -1;
  text(card.querySelector(".seen-name"), `${clockTime(card.dataset.seenAt)}, ${t("{n} ago", { n: span(ago) })}`);
  text(card.querySelector(".case-decide"), card.classList.contains("judged") ? t("judged by a person")
    : act > 0 ? t("the decision is yours, {n} left to act", { n: span(act) }) : t("the decision is yours; too late to act, for information only"));
  const left = (new Date(card.dataset.deleteBy).getTime() - now) / 1000;
  text(card.querySelector(".erase"), card.dataset.hold ? `${t("Held")}: ${t(card.dataset.hold)}` : t("Erased automatically in {n}; a false alert at once.", { n: span(left) }));
}

// ---- decisions of the operator ----

function resting() {
  return shown !== null && ticks() < shown.restUntil;
}

function rest() {
  shown.restUntil = ticks() + REST_MS;
  shown.askedAt = -Infinity;
  shown.element.classList.add("resting");
  const element = shown.element;
  setTimeout(() => { if (!resting()) element.classList.remove("resting"); ask(element, false); }, REST_MS);
}

function ask(card, asking) {
  const button = card.querySelector(".judge .false");
  button.classList.toggle("armed", asking);
  text(button.querySelector(".word"), t(asking ? "Press again to erase" : "False alert"));
}

function press(id, outcome) {
  if (shown === null || shown.id !== id || resting()) return;
  const entry = view.cases.find((each) => each.id === id);
  if (!entry || (entry.outcome === null && !entry.judgeable)) return;
  if (outcome === "false_alert") {
    const since = ticks() - shown.askedAt;
    if (since < ASK_MS) return;
    if (since > ASKED_MS) {
      const [card, askedAt] = [shown, ticks()];
      card.askedAt = askedAt;
      ask(card.element, true);
      setTimeout(() => { if (card.askedAt === askedAt) ask(card.element, false); }, ASKED_MS);
      return;
    }
  } else if (entry.outcome !== null) return;
  decide(shown.element, id, "adjudication", outcome);
}

async function decide(card, id, kind, outcome) {
  const controls = card.querySelectorAll("button, select");
  for (const control of controls) control.disabled = true;
  try {
    const reasons = kind === "adjudication" ? chosen(card) : [];
    const answer = await post(`/cases/${id}/${kind}`, { outcome, reasons });
    if (!answer.ok && answer.status !== 404) throw new Error(await answer.text());
  } catch (fault) {
    problem(`${t("The decision was not accepted")}: ${fromHub(fault.message)}`);
  } finally {
    for (const control of controls) control.disabled = false;
  }
}

function step(by) {
  if (!view || !view.cases.length) return;
  const at = view.cases.findIndex((entry) => shown !== null && entry.id === shown.id);
  const next = view.cases[Math.min(view.cases.length - 1, Math.max(0, at + by))];
  if (shown === null || next.id !== shown.id) show(next.id);
}

function keys() {
  const dialog = byId("keys");
  if (dialog.open) dialog.close();
  else dialog.showModal();
}

document.addEventListener("keydown", (pressed) => {
  if (pressed.ctrlKey || pressed.metaKey || pressed.altKey || pressed.repeat) return;
  if (pressed.target instanceof HTMLSelectElement || pressed.target instanceof HTMLInputElement) return;
  const key = pressed.key.toLowerCase();
  if (key === "?") keys();
  else if (byId("keys").open) return;
  else if (key === "e") enlarge();
  else if (byId("enlarged").open) return;
  else if (key === "j") step(1);
  else if (key === "k") step(-1);
  else if (key === "m") mute();
  else if (shown !== null && "123".includes(key)) choose(shown.element, FACTORS[Number(key) - 1]);
  else if (shown !== null && key === "f") press(shown.id, "false_alert");
  else if (shown !== null && key === "t") press(shown.id, "true_alert");
  else return;
  pressed.preventDefault();
});
byId("keys-close").addEventListener("click", keys);

// ---- the queue: cases stay where they are, new ones are added at its end ----

function show(id) {
  const region = byId("current");
  if (shown === null || shown.id !== id) {
    shown = { id, element: newCard(id), version: "", restUntil: 0, askedAt: -Infinity };
    region.replaceChildren(shown.element);
    rest();
  }
  drawCases(view.cases, view.left_unjudged);
}

function drawCurrent(entries) {
  const region = byId("current");
  const entry = shown === null ? undefined : entries.find((each) => each.id === shown.id);
  if (!entry) {
    const next = entries.find((each) => each.outcome === null) || entries[0];
    if (!next) {
      if (shown !== null && shown.element.contains(document.activeElement)) byId("cases-title").focus();
      shown = null;
      region.replaceChildren();
      return;
    }
    shown = { id: next.id, element: newCard(next.id), version: "", restUntil: 0, askedAt: -Infinity };
    region.replaceChildren(shown.element);
    rest();
    drawCurrent(entries);
    return;
  }
  const version = JSON.stringify([entry.probe, entry.reference, entry.label, entry.outcome, entry.judgeable]);
  if (shown.version && shown.version !== version) rest();
  shown.version = version;
  drawCard(shown.element, entry);
}

function newRow(id) {  // its listener keeps nothing but the id: neither rows that are gone nor a name
  const row = document.createElement("li");
  row.dataset.id = id;
  const button = make("button", "");
  button.type = "button";
  button.append(make("span", ""), make("span", ""), make("span", ""));
  button.addEventListener("click", () => show(id));
  row.append(button);
  return row;
}

function drawQueue(entries) {
  const list = byId("queue");
  byId("queue-box").hidden = entries.length < 2;
  const rows = new Map([...list.children].map((row) => [row.dataset.id, row]));
  entries.forEach((entry, place) => {
    let row = rows.get(entry.id);
    if (!row) row = newRow(entry.id);
    rows.delete(entry.id);
    row.className = entry.outcome ? "judged" : "";
    const [name, score, when] = row.firstChild.children;
    text(name, `${entry.outcome ? `${t("Judged true")}: ` : ""}${entry.label}`);
    text(score, entry.score.toFixed(3));
    text(when, clockTime(entry.captured_at));
    row.firstChild.setAttribute("aria-current", String(shown !== null && shown.id === entry.id));
    if (list.children[place] !== row) list.insertBefore(row, list.children[place] || null);
  });
  for (const row of rows.values()) row.remove();
}

function drawCases(entries, leftUnjudged) {
  drawCurrent(entries);
  drawQueue(entries);
  const arrived = first ? 0 : entries.filter((entry) => !known.has(entry.id)).length;
  known = new Set(entries.map((entry) => entry.id));
  if (arrived) sound();
  if (arrived) text(byId("announce"), `${arrived} ${t(arrived > 1 ? "new possible matches" : "new possible match")}. ${t("The decision is yours.")}`);
  byId("empty").hidden = entries.length > 0;
  const open = entries.filter((entry) => entry.outcome === null).length;
  const left = leftUnjudged ? ` · ${number(leftUnjudged)} ${t("erased without a judgement: the desk was full")}` : "";
  text(byId("cases-count"), (entries.length ? (open ? `${open} ${t("to judge")}` : t("all judged")) : "") + left);
  document.title = `${open ? `(${open}) ` : ""}${t("Van hub")} ${byId("mode").textContent}`;
}

// ---- the whole page ----

function banner(words) {
  byId("banner").hidden = !words;
  text(byId("banner"), words || "");
}

function problem(words) {  // what a press led to; the next snapshot does not hide it
  byId("problem").hidden = false;
  byId("problem").textContent = words;
  clearTimeout(problem.ends);
  problem.ends = setTimeout(() => { byId("problem").hidden = true; }, PROBLEM_MS);
}

const NOT_CURRENT = { unknown: "this page has no connection to its hub", status: "unknown", state: null, lamps: null, conditions: [], inhibit_reasons: [], cameras: {}, fps: null, live_view: null, view: null };

function lost(stale) {
  return { ...stale, broker: { online: false, text: t("the hub does not answer") }, devices: stale.devices.map((device) => ({ ...device, ...NOT_CURRENT })),
    blue_list: stale.blue_list && { ...stale.blue_list, cards: [] } };
}

function draw(snapshot) {
  view = snapshot;
  now = hubTime();
  text(byId("site"), view.site);
  const mode = byId("mode");
  mode.className = `mode ${view.mode}`;
  text(mode, t(view.mode).toUpperCase());
  text(byId("mode-words"), MODES[view.mode] ? t(MODES[view.mode]) : "");
  const link = byId("link");
  link.className = view.broker.online ? "link" : "link lost";
  const operator = t(OPERATORS[view.operator]);
  text(link, view.broker.online ? `${t("Broker connected")} · ${operator}` : `${t("No connection")}: ${view.broker.text}`);
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
  text(byId("empty-text"), discarded ? t("{n} people passed, were compared and discarded at once.", { n: number(discarded) }) : t("Faces that match nobody on the list are discarded at once."));
  drawUser();
  drawHolds();
  closeEnlarged(view.cases);
  drawBlueList(view.blue_list);
  const receipts = view.receipts.map((r) => [[`${number(r.count)} ${t(WHAT[r.what])}${r.alert ? " …" + r.alert : ""}: ${t(WHY[r.reason])}`], ""]);
  items(byId("receipts"), receipts.length ? receipts : [[[t("Nothing has been erased yet.")], ""]]);
}

// ---- who is here, STOP and resume, sound ----

const TOUCH_MS = 30000, WARN_S = 60;
let touchedAt = -Infinity;
let warned = false;
let soundOn = localStorage.getItem("sound") !== "off";
const audio = openAudio();

function drawUser() {
  byId("user").hidden = byId("logout").hidden = view.user === null;
  if (view.user !== null) text(byId("user"), `${view.user.ref}, ${t(view.user.role)}`);
  const locks = view.lock_in_s !== null && view.lock_in_s < WARN_S;
  if (locks && !warned) sound();
  warned = locks;
  byId("lock").hidden = !locks;
  text(byId("lock"), t("This page locks in less than a minute: press a key. Without you devices do not recognise."));
}

function touched() {
  if (!view || view.user === null || ticks() - touchedAt < TOUCH_MS) return;
  touchedAt = ticks();
  post("/active", {}).catch(() => {});
}
for (const kind of ["keydown", "pointerdown", "touchstart", "click"]) document.addEventListener(kind, () => { touched(); awake(); }, { passive: true });
byId("logout").addEventListener("click", () => post("/logout", {}).finally(() => location.reload()));

function openAudio() {  // null: there is no sound device; the alert is on the page all the same
  try {
    const context = new AudioContext();
    context.onstatechange = drawSound;
    return context;
  } catch {
    return null;
  }
}

function awake() {  // a browser lets a page sound only after somebody pressed something on it
  if (audio !== null && audio.state === "suspended") audio.resume().catch(() => {});
}

function sound() {
  if (!soundOn || audio === null || audio.state !== "running") return;  // tones that wait would all sound at once
  const [tone, level] = [audio.createOscillator(), audio.createGain()];
  tone.frequency.value = 880;
  level.gain.setValueAtTime(0.2, audio.currentTime);
  level.gain.exponentialRampToValueAtTime(0.001, audio.currentTime + 0.4);
  tone.connect(level).connect(audio.destination);
  tone.start();
  tone.stop(audio.currentTime + 0.4);
}

function drawSound() {
  const waits = audio !== null && audio.state === "suspended";
  text(byId("sound"), t(!soundOn ? "Sound off" : waits ? "No sound yet: press a key" : "Sound on"));
  byId("sound").setAttribute("aria-pressed", String(soundOn));
}

function mute() {
  soundOn = !soundOn;
  localStorage.setItem("sound", soundOn ? "on" : "off");
  drawSound();
  sound();
}
byId("sound").addEventListener("click", mute);
drawSound();

async function command(device, name) {
  try {
    const answer = await post(`/devices/${device}/${name}`, {});
    if (!answer.ok) throw new Error(await answer.text());
  } catch (fault) {
    problem(`${t("The command was not sent")}: ${fromHub(fault.message)}`);
  }
}

function drawCommand(panel, device) {
  for (const button of panel.querySelectorAll("[data-command]")) {
    if (button.dataset.device === device.id) continue;
    button.dataset.device = device.id;
    button.setAttribute("aria-label", `${button.textContent} ${device.id}`);
    button.onclick = () => command(device.id, button.dataset.command);
  }
  const may = view.user === null || view.user.role === "supervisor";
  panel.querySelector("[data-command=resume]").hidden = !may;
  panel.querySelector("[data-command=stop]").hidden = !may && view.user.role === "auditor";
  const given = device.command;
  text(panel.querySelector(".command"), given ? `${t(COMMANDS[given.name])}: ${given.given_by}, ${clockTime(given.at)}, ${given.result ? t(given.result) : t("no reply yet")}${given.reason ? ` (${given.reason})` : ""}` : "");
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
const LOST = t("This page has no connection to its hub. Nothing on it is current; the device stops recognising without you. It comes back by itself.");
function listen() {
  const stream = new EventSource("/events");
  stream.onmessage = (message) => {
    const snapshot = JSON.parse(message.data);
    viewAt = ticks();
    draw(snapshot);
    banner(!snapshot.broker.online ? t("No broker: the state of every device is unknown, and no alert arrives.")
      : snapshot.desk_problem ? `${t("The hub's disk refuses: open cases would not outlive a restart.")} (${snapshot.desk_problem})`
      : snapshot.warnings.map((warning) => `${capital(fromHub(warning))}.`).join(" "));
  };
  stream.onerror = () => {
    banner(LOST);
    draw(lost(view));
    if (stream.readyState === EventSource.CLOSED) setTimeout(again, 2000);
  };
}
async function again() {
  const answer = await fetch("/snapshot").catch(() => null);
  if (answer !== null && answer.status === 401) location.reload();
  else listen();
}
listen();
setInterval(() => {
  now = hubTime();
  if (shown !== null) drawErase(shown.element);
  if (ticks() - viewAt > STALE_MS) {
    banner(LOST);
    draw(lost(view));
  }
}, 1000);
