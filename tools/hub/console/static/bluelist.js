// The blue list: consenting volunteers. A card here is no possible match: no picture, no judgement, no sound.
"use strict";

function percent(share) {
  return `${Math.round(share * 100)} %`;
}

function shareText(rate, words) {
  if (rate.value === null) return t("No pass is counted yet.");
  return t(words, { n: number(rate.events), of: number(rate.of), share: percent(rate.value), low: percent(rate.low), high: percent(rate.high) });
}

function blueCard(card) {
  const item = make("li", "", "blue-card");
  item.dataset.id = card.id;
  const words = make("span", "", "blue-words");
  words.append(make("strong", t("VOLUNTEER: nothing to do")), make("span", `${card.ref} · ${card.device}, ${card.camera} · ${clockTime(card.at)}`));
  const mark = make("span", "V", "blue-mark");
  mark.setAttribute("aria-hidden", "true");
  item.append(mark, words);
  return item;
}

function drawBlueList(blue) {
  byId("blue").hidden = !blue;
  if (!blue) return;
  const judges = view.user === null || ["operator", "supervisor"].includes(view.user.role);
  byId("blue-pass").parentElement.hidden = !judges;
  const shownIds = [...byId("blue-cards").children].map((item) => item.dataset.id).join();
  if (shownIds !== blue.cards.map((card) => card.id).join()) byId("blue-cards").replaceChildren(...blue.cards.map(blueCard));
  const choice = byId("blue-ref");
  const wanted = ["", ...blue.volunteers];
  if ([...choice.options].map((option) => option.value).join() !== wanted.join()) {
    choice.replaceChildren(...wanted.map((ref) => new Option(ref || t("not stated"), ref)));
  }
  const waiting = blue.waiting ? ` ${t("{n} passes are not counted yet.", { n: number(blue.waiting) })}` : "";
  text(byId("blue-rate"), shareText(blue.figures.rate, "{n} of {of} logged passes recognised: {share} (95 %: {low} to {high}).") + waiting);
  const groups = Object.entries(blue.figures.groups).map(([group, rate]) => [[`${group}: ${rate === null ? t("withheld, fewer than {n} passes or it would show such a number", { n: blue.minimum_cell }) : shareText(rate, "{n} of {of}: {share} (95 %: {low} to {high})")}`, ""]]);
  items(byId("blue-groups"), groups);
  byId("blue-below").hidden = !blue.figures.below;
  if (blue.figures.below) text(byId("blue-below"), t("Below what the evidence expects ({low} to {high}): look at camera, light and zone.", { low: percent(blue.figures.band[0]), high: percent(blue.figures.band[1]) }));
}

byId("blue-pass").addEventListener("click", async () => {
  try {
    const answer = await post("/bluelist/pass", { ref: byId("blue-ref").value || null });
    if (!answer.ok) throw new Error(await answer.text());
  } catch (fault) {
    problem(`${t("The pass was not logged")}: ${fromHub(fault.message)}`);
  }
  byId("blue-ref").value = "";
});
