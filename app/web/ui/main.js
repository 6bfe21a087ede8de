// The shell: which view is open, the key, the theme. A view is opened and closed, and is live only in between.

import { accessView } from "./access/view.js";
import { onKeyNeeded, signedIn, useKey } from "./api.js";
import { chatView } from "./chat/view.js";
import { dashboardView } from "./dashboard/view.js";
import { ask } from "./dialogs.js";
import { documentsView } from "./documents/view.js";
import { button, h, icon } from "./dom.js";
import { routingView } from "./routing.js";

const VIEWS = {
  chat: { title: "Chat", create: chatView },
  documents: { title: "Documents", create: documentsView },
  routing: { title: "Routing", create: routingView },
  dashboard: { title: "Dashboard", create: dashboardView },
  access: { title: "Keys & usage", create: accessView },
};
const THEMES = { auto: "system", light: "light", dark: "dark" };

const opened = {};
let current = null;

function showView() {
  const name = location.hash.slice(1).split("/")[0];
  const next = name in VIEWS ? name : "chat";
  if (next === current) return;
  opened[current]?.close?.();
  current = next;
  for (const each of Object.keys(VIEWS)) document.getElementById(`view-${each}`).hidden = each !== next;
  for (const link of document.querySelectorAll(".tabs a")) {
    const isCurrent = link.hash === `#${next}`;
    if (isCurrent) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.title = next === "chat" ? "Sluice" : `${VIEWS[next].title} · Sluice`;
  opened[next] ??= VIEWS[next].create(document.getElementById(`view-${next}`));
  opened[next].open?.();
}

function drawBar() {
  document.getElementById("tabs").append(
    ...Object.entries(VIEWS).map(([name, { title }]) => h("a", { href: `#${name}` }, icon(name, 20), h("span", {}, title))),
  );
  const end = document.getElementById("bar-end");
  const draw = () => end.replaceChildren(themeButton(draw), keyButton());
  document.addEventListener("sluice:key", draw);
  draw();
}

function themeButton(redraw) {
  const theme = document.documentElement.dataset.theme;
  const names = Object.keys(THEMES);
  const next = names[(names.indexOf(theme) + 1) % names.length];
  const iconName = { auto: "auto", light: "sun", dark: "moon" }[theme];
  return button({ label: `Colours: ${THEMES[theme]}. Change to ${THEMES[next]}`, iconName }, () => {
    document.documentElement.dataset.theme = next;
    try {
      localStorage.setItem("sluice-theme", next);
    } catch {
      // storage may be forbidden; the theme then lasts as long as the page
    }
    document.dispatchEvent(new CustomEvent("sluice:theme"));
    redraw();
    document.querySelector(".bar-end .button")?.focus();
  });
}

function keyButton() {
  if (signedIn()) return button({ text: "Sign out", label: "Forget the key", iconName: "access" }, () => useKey(null));
  return button({ text: "Sign in", label: "Sign in with a key", iconName: "access" }, () => signIn(false));
}

let asking = null;

/** Ask for a key; questions that come up meanwhile wait for the same answer. */
function signIn(wasWrong) {
  asking ??= ask({
    title: "Sign in with a key",
    text: wasWrong
      ? "That key was not accepted. Try another one."
      : "The key stays in the memory of this page: closing or reloading the page forgets it.",
    label: "Key",
    type: "password",
    action: "Sign in",
  }).then((key) => {
    asking = null;
    if (key) useKey(key);
    return key !== null;
  });
  return asking;
}

onKeyNeeded(signIn);
drawBar();
// A service that answers nobody without a key says so in the page, so that nothing is asked in vain.
if (document.documentElement.dataset.key === "needed") signIn(false).then(showView);
else showView();
addEventListener("hashchange", showView);
