// The chat: the list of conversations, the open one, and where one writes.

import { failure, report } from "../dialogs.js";
import { announce, button, h, icon } from "../dom.js";
import { listModels } from "../models.js";
import { Composer } from "./composer.js";
import { Conversation } from "./conversation.js";
import { SessionList } from "./sessions.js";
import { TurnList } from "./turns.js";

const HINTS = [
  ["book", "From your documents", "Drop files under Documents; answers quote them and link to the place.", "#documents"],
  ["shield", "Where its label allows", "A model gets a message only if it is cleared for what is in it.", "#routing"],
  ["dashboard", "With its reasons", "Each answer says who gave it, why, and what it cost.", "#dashboard"],
];

export function chatView(section) {
  let conversation = new Conversation({ stored: false });
  let models = [];
  let wantsNew = true;

  const composer = new Composer({
    form: section.querySelector("#composer"),
    onSend: (content) => run(() => conversation.ask(content, composer.options, onChange)),
    onStop: () => conversation.stop(),
  });
  const turns = new TurnList({
    scroll: section.querySelector("#turns-scroll"),
    list: section.querySelector("#turns"),
    welcome: () => welcome(models),
    actions: {
      models: () => models,
      edit: (turn, content) => run(() => conversation.edit(turn, content, composer.options, onChange)),
      switchTo: (id) => conversation.switchTo(id).then(show).catch(report),
      regenerate: (turn) => run(() => conversation.regenerate(turn, composer.options, onChange)),
    },
  });
  const sessions = new SessionList({
    element: section.querySelector("#sessions"),
    onOpen: openSession,
    onNew: () => startNew(),
    onDeleted: (id) => id === conversation.sessionId && startNew(),
  });
  const unfold = button({ label: "Conversations", iconName: "menu", class: "button outline unfold only-narrow", hidden: true }, () => sessions.unfold());
  section.querySelector(".conversation").prepend(unfold);
  let detecting = detect();

  async function detect() {
    const stored = await sessions.detect();
    unfold.hidden = !stored;
    if (!conversation.turns.length) conversation = new Conversation({ stored });
    return stored;
  }

  async function run(work) {
    if (conversation.busy) return;
    composer.setBusy(true);
    announce("Answering");
    await detecting;
    const asked = conversation;
    if (wantsNew) turns.show(asked);
    wantsNew = false;
    try {
      await work();
    } catch (error) {
      report(error);
    }
    composer.setBusy(conversation.busy);
    announce(asked.turns.at(-1)?.status === "done" ? "The answer is complete" : "The answer ended early");
    if (asked.stored) sessions.refresh().then(() => sessions.mark(conversation.sessionId)).catch(report);
  }

  function onChange(turn) {
    if (turn === null || conversation.turns.includes(turn)) turns.update(turn);
  }

  function show(next) {
    conversation.stop();
    conversation = next;
    turns.show(next);
    sessions.mark(next.sessionId);
    composer.setBusy(false);
  }

  async function startNew() {
    sessions.fold();
    wantsNew = true;
    show(new Conversation({ stored: await detecting }));
    composer.input.focus();
  }

  async function openSession(id) {
    try {
      show(await Conversation.load(id));
      wantsNew = false;
    } catch (error) {
      turns.list.replaceChildren(failure(error, () => openSession(id)));
    }
  }

  async function refreshModels() {
    await composer.refreshModels();
    models = await listModels();
    if (!conversation.turns.length) turns.show(conversation);
  }

  document.addEventListener("sluice:key", () => {
    detecting = detect();
    refreshModels();
  });
  turns.show(conversation);
  return { open: refreshModels };
}

function welcome(models) {
  const able = models.filter((model) => model.available);
  const alone = able.length > 0 && able.every((model) => model.id.startsWith("builtin/"));
  return h(
    "div",
    { class: "welcome" },
    h("h2", {}, "What would you like to know?"),
    h("div", { class: "hints" }, HINTS.map(([name, title, text, href]) =>
      h("a", { class: "hint", href }, icon(name, 22), h("strong", {}, title), h("span", {}, text)))),
    alone && h("p", { class: "tip" }, "No language model is connected, so answers quote your documents. Set OPENAI_API_KEY or start Ollama, and there are more."),
  );
}
