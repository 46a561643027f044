// The login: reference and password, then the page.
"use strict";

byId("login").addEventListener("submit", async (submitted) => {
  submitted.preventDefault();
  const button = document.querySelector("#login button");
  button.disabled = true;
  try {
    const answer = await post("/login", { ref: byId("ref").value.trim(), password: byId("password").value });
    if (answer.ok) { location.assign("/"); return; }
    byId("refused").textContent = capitalised(fromHub(await answer.text()));
  } catch {
    byId("refused").textContent = t("The hub does not answer.");
  }
  byId("password").value = "";
  byId("password").focus();
  button.disabled = false;
});

function capitalised(words) {
  return words[0].toUpperCase() + words.slice(1);
}
