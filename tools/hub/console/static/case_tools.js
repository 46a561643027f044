// Tools of the current case: both pictures enlarged side by side, reasons of a judgement, holds.
"use strict";

const FACTORS = ["subject", "system", "environment"];
const HOLD_DAYS = 28;

// ---- both pictures, side by side at one scale ----

function enlarge() {
  const dialog = byId("enlarged");
  if (dialog.open) return dialog.close();
  const entry = shown === null ? undefined : view.cases.find((each) => each.id === shown.id);
  if (!entry) return;
  drawEnlarged(entry);
  dialog.showModal();
}

function drawEnlarged(entry) {
  const dialog = byId("enlarged");
  dialog.dataset.id = entry.id;
  for (const kind of ["seen", "listed"]) {
    const source = shown.element.querySelector(`.${kind} img`);
    const image = dialog.querySelector(`.${kind} img`);
    image.hidden = source === null;
    if (source !== null && image.getAttribute("src") !== source.getAttribute("src")) {
      image.src = source.getAttribute("src");
      image.alt = source.alt;
    }
  }
  text(dialog.querySelector(".seen-words"), `${t("Seen")} ${clockTime(entry.captured_at)} · ${entry.device} · ${entry.camera}`);
  text(dialog.querySelector(".listed-words"), `${entry.label === "Listed person" ? t(entry.label) : entry.label} · ${photoWords(entry)}`);
  const like = dialog.querySelector(".alike");
  like.hidden = !entry.look_alike;
  text(like, entry.look_alike ? lookAlike(entry) : "");
}

function photoWords(entry) {
  return [entry.image_source ? t("{source} photo", { source: entry.image_source }) : t("photo"), entry.image_age_days === null ? t("age not known") : photoAge(entry.image_age_days)].join(", ");
}

function lookAlike(entry) {
  return t("Somebody looks like this person: {who}.", { who: entry.look_alike });
}

byId("enlarged").addEventListener("click", () => byId("enlarged").close());
byId("enlarged").addEventListener("close", () => { if (!byId("enlarged").open) emptyEnlarged(); });

function emptyEnlarged() {  // nothing of an erased case stays in the page
  const dialog = byId("enlarged");
  delete dialog.dataset.id;
  for (const image of dialog.querySelectorAll("img")) {
    image.hidden = true;
    image.removeAttribute("src");
    image.alt = "";
  }
  for (const words of dialog.querySelectorAll("figcaption, .alike")) text(words, "");
}

function closeEnlarged(entries) {
  const dialog = byId("enlarged");
  if (dialog.open && !entries.some((entry) => shown !== null && entry.id === shown.id && entry.id === dialog.dataset.id)) dialog.close();
}

// ---- reasons of a judgement: chosen before it, by key or tap ----

function chosen(card) {
  return [...card.querySelectorAll(".reasons-row button[aria-pressed=true]")].map((button) => button.dataset.factor);
}

function choose(card, factor) {
  const button = card.querySelector(`[data-factor=${factor}]`);
  if (button.closest(".judge-box").hidden) return;
  button.setAttribute("aria-pressed", String(button.getAttribute("aria-pressed") !== "true"));
}

function wireCaseTools(card, id) {
  for (const box of card.querySelectorAll(".photo")) box.addEventListener("click", enlarge);
  card.querySelector(".enlarge").addEventListener("click", enlarge);
  for (const button of card.querySelectorAll("[data-factor]")) button.addEventListener("click", () => choose(card, button.dataset.factor));
  const form = card.querySelector(".hold-form");
  form.querySelector("[name=review]").value = new Date(now + HOLD_DAYS * 86400000).toISOString().slice(0, 10);
  form.querySelector("[name=kind]").addEventListener("change", () => drawHoldForm(form));
  form.addEventListener("submit", (sent) => { sent.preventDefault(); hold(id, form); });
  card.querySelector(".hold-release").addEventListener("click", () => release(id));
  drawHoldForm(form);
}

// ---- holds: a supervisor's ----

function mayHold() {
  return view.user === null || view.user.role === "supervisor";
}

function drawHoldForm(form) {
  const complaint = form.querySelector("[name=kind]").value === "complaint";
  form.querySelector(".complaint").hidden = !complaint;
  form.querySelector("[name=complaint]").required = complaint;
}

function drawHold(card, entry) {
  const box = card.querySelector(".hold");
  box.hidden = !mayHold() || entry.outcome === null;
  card.querySelector(".hold-form").hidden = Boolean(entry.hold);
  card.querySelector(".hold-release").hidden = !entry.hold;
  const owner = card.querySelector("[name=owner]");
  if (!owner.value && view.user !== null) owner.value = view.user.ref;
}

async function hold(id, form) {
  const given = Object.fromEntries(new FormData(form));
  const complaint = given.kind === "complaint" ? given.complaint : null;
  await ask_hub(async () => {
    if (complaint !== null) await wanted(post(`/complaints/${encodeURIComponent(complaint)}`, {}));
    await wanted(post(`/holds/${id}`, { kind: given.kind, reason: given.reason, owner: given.owner, review_by: `${given.review}T12:00:00.000Z`, complaint }));
    form.closest("details").open = false;
  });
}

function release(id) {
  return ask_hub(() => wanted(post(`/holds/${id}/release`, {})));
}

async function ask_hub(action) {
  try {
    await action();
  } catch (fault) {
    problem(`${t("The hold was not accepted")}: ${fromHub(fault.message)}`);
  }
}

async function wanted(answer) {
  const got = await answer;
  if (!got.ok) throw new Error(await got.text());
}

function drawHolds() {
  const box = byId("holds-box");
  box.hidden = view.holds.length === 0;
  const list = byId("holds");
  const key = JSON.stringify([view.holds, mayHold()]);
  if (list.dataset.shown === key) return;
  list.dataset.shown = key;
  list.replaceChildren(...view.holds.map((held) => {
    const row = make("li", `${t(held.kind)} …${held.alert_id.slice(-6)}, ${held.owner}, ${t("review by {date}", { date: held.review_by.slice(0, 10) })}`, held.overdue ? "overdue" : "");
    if (mayHold()) {
      const button = make("button", t("Release"), "small");
      button.type = "button";
      button.setAttribute("aria-label", `${t("Release")} …${held.alert_id.slice(-6)}`);
      button.addEventListener("click", () => release(held.alert_id));
      row.append(" ", button);
    }
    return row;
  }));
}
