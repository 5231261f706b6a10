"use strict";
// Comfort only: every page works without it. Keys, the theme, and pictures that are not there.

const root = document.documentElement;

function setTheme(theme) {
  root.dataset.theme = theme;
  localStorage.setItem("theme", theme);
}

function isDark() {
  return root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

const stored = localStorage.getItem("theme");
if (stored) root.dataset.theme = stored;

const themeButton = document.getElementById("theme");
themeButton.hidden = false;
themeButton.addEventListener("click", () => setTheme(isDark() ? "light" : "dark"));

// A study without pixels has no thumbnail: an empty place says so better than a broken picture.
function emptied(picture) {
  picture.replaceWith(Object.assign(document.createElement("span"), { className: `${picture.className} nothing`, title: "no picture" }));
}
for (const picture of document.querySelectorAll("img[loading=lazy]")) {
  if (picture.complete && picture.naturalWidth === 0) emptied(picture);
  else picture.addEventListener("error", () => emptied(picture));
}

const links = () => [...document.querySelectorAll("[data-walk] a.main")];

function walk(step) {
  const all = links();
  const at = all.indexOf(document.activeElement);
  const next = all[at < 0 ? (step > 0 ? 0 : all.length - 1) : Math.min(all.length - 1, Math.max(0, at + step))];
  if (next) next.focus();
}

function follow(selector) {
  const link = document.querySelector(selector);
  if (link) link.click();
}

const keys = {
  "/": () => document.getElementById("search")?.focus(),
  j: () => walk(1),
  k: () => walk(-1),
  ArrowRight: () => follow("a[rel=next]"),
  ArrowLeft: () => follow("a[rel=prev]"),
  u: () => follow("#up"),
};

document.addEventListener("keydown", (event) => {
  const typing = event.target.matches("input, textarea, select");
  if (typing && event.key === "Escape") event.target.blur();
  if (typing || event.ctrlKey || event.metaKey || event.altKey || !(event.key in keys)) return;
  event.preventDefault();
  keys[event.key]();
});

// A proof takes a moment: its button says so.
for (const form of document.querySelectorAll("form[method=post]")) {
  form.addEventListener("submit", () => {
    const button = form.querySelector("button");
    button.disabled = true;
    button.classList.add("busy");
  });
}
