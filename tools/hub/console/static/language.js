// English or Welsh: texts of the page, and its language switch. Welsh is marked a draft until it is approved.
"use strict";

const byId = (id) => document.getElementById(id);
const token = document.querySelector("meta[name=csrf]").content;
const WELSH = JSON.parse(byId("welsh").textContent);
const welsh = localStorage.getItem("language") === "cy";

function t(english, values = {}) {
  const found = welsh ? WELSH.words[english] ?? english : english;
  return Object.entries(values).reduce((words, [name, value]) => words.replace(`{${name}}`, value), found);
}

// What the hub says: whole texts, or texts with values in them, which are translated too where there are words for them.
const PATTERNS = Object.keys(WELSH.words).filter((words) => words.includes("{")).map((words) => {
  const literal = words.split(/\{\w+\}/);
  const names = (words.match(/\{\w+\}/g) || []).map((name) => name.slice(1, -1));
  const escaped = literal.map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  return { words, names, letters: literal.join("").length, pattern: new RegExp(`^${escaped.join("([^]+?)")}$`) };
}).sort((one, other) => other.letters - one.letters);

function fromHub(english) {
  if (!welsh || WELSH.words[english] !== undefined) return t(english);
  for (const { words, names, pattern } of PATTERNS) {
    const found = pattern.exec(english);
    if (found !== null) return t(words, Object.fromEntries(names.map((name, n) => [name, fromHub(found[n + 1])])));
  }
  return english;
}

function translate(root) {
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode;
    const words = node.nodeValue.trim().replace(/\s+/g, " ");
    const parent = node.parentElement;
    if (!words || (parent && parent.closest("[lang], script") !== null && parent.closest("[lang], script") !== document.documentElement)) continue;
    if (WELSH.words[words]) node.nodeValue = node.nodeValue.replace(node.nodeValue.trim(), WELSH.words[words]);
  }
  for (const element of root.querySelectorAll("[aria-label], [title]")) {
    for (const name of ["aria-label", "title"]) {
      if (element.hasAttribute(name)) element.setAttribute(name, t(element.getAttribute(name)));
    }
  }
}

const languageButton = byId("language");
languageButton.textContent = welsh ? "English" : "Cymraeg";
languageButton.lang = welsh ? "en" : "cy";
languageButton.addEventListener("click", () => {
  localStorage.setItem("language", welsh ? "en" : "cy");
  location.reload();
});
if (welsh) {
  document.documentElement.lang = "cy";
  translate(document.body);
  for (const template of document.querySelectorAll("template")) translate(template.content);
}
byId("draft").hidden = !welsh || !WELSH.draft;
byId("draft").textContent = WELSH.draft;

function post(path, body) {
  return fetch(path, { method: "POST", headers: { "Content-Type": "application/json", "X-CSRF-Token": token }, body: JSON.stringify(body) });
}
