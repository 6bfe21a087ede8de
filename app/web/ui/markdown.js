// Markdown as elements. The parser only cuts the text into tokens; what may appear is what is built here, so HTML in
// an answer is shown as text, pictures become links, and links lead to the web or to a mail program and nowhere else.

import { Lexer } from "../vendor/marked/marked.esm.js";
import { button, h, icon } from "./dom.js";

// Longer texts are shown as they stand: cutting them into tokens takes too long.
const LONGEST = 200_000;
// What is nested deeper, or has more marks in one paragraph, is shown as it stands.
const DEEPEST = 16;
const MOST_MARKS = 1_500;
const MARKS = /[*_~`[\]<>!&\\@]/g;
const SAFE_LINK = /^(https?:|mailto:)/i;
const ENTITIES = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'", nbsp: "\u00a0" };
const SOURCE = /\[(\d{1,3})\]/g;

/** Shows a text in `container` and follows it while it grows: blocks that did not change are left alone. */
export class MarkdownView {
  #container;
  #blocks = [];
  #cite = null;

  constructor(container) {
    this.#container = container;
    container.classList.add("markdown");
  }

  /** `cite(number)` gives the element for a source number like [1], or null if there is no such source. */
  show(text, { cite = null } = {}) {
    if (cite !== this.#cite) this.#forget(0);
    this.#cite = cite;
    const tokens = tokenize(text);
    const same = this.#blocks.findIndex((block, index) => tokens[index]?.raw !== block.raw);
    this.#forget(same < 0 ? this.#blocks.length : same);
    for (const token of tokens.slice(this.#blocks.length)) {
      const nodes = renderBlock(token, { cite, depth: 0 });
      this.#blocks.push({ raw: token.raw, nodes });
      this.#container.append(...nodes);
    }
  }

  #forget(from) {
    for (const { nodes } of this.#blocks.splice(from)) for (const node of nodes) node.remove();
  }
}

/** The parser with bounds: its time grows with the square of what is nested deeply or has very many marks in a row. */
class BoundedLexer extends Lexer {
  #depth = 0;

  blockTokens(source, tokens = [], ...rest) {
    if (this.#depth > DEEPEST) return asText(source, tokens);
    this.#depth += 1;
    try {
      return super.blockTokens(source, tokens, ...rest);
    } finally {
      this.#depth -= 1;
    }
  }

  inlineTokens(source, tokens = []) {
    return countMarks(source) > MOST_MARKS ? asText(source, tokens) : super.inlineTokens(source, tokens);
  }
}

function asText(source, tokens) {
  tokens.push({ type: "text", raw: source, text: source });
  return tokens;
}

const countMarks = (source) => source.length - source.replace(MARKS, "").length;

function tokenize(text) {
  if (text.length <= LONGEST) {
    try {
      return new BoundedLexer({ gfm: true }).lex(text);
    } catch {
      // cannot be taken apart: shown as it stands
    }
  }
  return [{ type: "plain", raw: text, text }];
}

function renderBlock(token, context) {
  if (context.depth > DEEPEST) return [h("p", { class: "plain" }, token.raw)];
  const build = BLOCKS[token.type];
  return build ? [build(token, context)].flat().filter(Boolean) : [h("p", {}, token.raw ?? "")];
}

const deeper = ({ cite, depth }) => ({ cite, depth: depth + 1 });

const blocks = (tokens, context) => (tokens ?? []).flatMap((token) => renderBlock(token, deeper(context)));

function inline(tokens, context) {
  if (context.depth > DEEPEST) return [(tokens ?? []).map(({ raw }) => raw).join("")];
  return (tokens ?? []).flatMap((token) => INLINE[token.type]?.(token, deeper(context)) ?? [token.raw]);
}

const BLOCKS = {
  space: () => null,
  def: () => null,
  hr: () => h("hr"),
  plain: ({ text }) => h("p", { class: "plain" }, text),
  html: ({ raw }) => h("p", {}, raw.trim()),
  paragraph: ({ tokens }, context) => h("p", {}, inline(tokens, context)),
  // In a tight list the text stands in the item itself.
  text: ({ tokens, text }, context) => (tokens ? inline(tokens, context) : cited(text, context)).map(asNode),
  heading: ({ depth, tokens }, context) => h(`h${Math.min(6, depth + 2)}`, {}, inline(tokens, context)),
  blockquote: ({ tokens }, context) => h("blockquote", {}, blocks(tokens, context)),
  code: ({ lang, text }) => renderCode(lang, text),
  list: renderList,
  table: renderTable,
};

const INLINE = {
  text: ({ tokens, text }, context) => (tokens ? inline(tokens, context) : cited(decode(text), context)),
  escape: ({ text }) => [text],
  html: ({ raw }) => (/^<br\s*\/?>$/i.test(raw) ? [h("br")] : [raw]),
  br: () => [h("br")],
  strong: ({ tokens }, context) => [h("strong", {}, inline(tokens, context))],
  em: ({ tokens }, context) => [h("em", {}, inline(tokens, context))],
  del: ({ tokens }, context) => [h("del", {}, inline(tokens, context))],
  codespan: ({ text }) => [h("code", {}, text)],
  checkbox: ({ checked }) => [checked ? "☑ " : "☐ "],
  link: ({ href, tokens }, context) => [renderLink(href, inline(tokens, { ...context, cite: null }))],
  image: ({ href, text }) => [renderLink(href, [icon("image", 14), ` ${text || "picture"}`])],
};

const asNode = (child) => (typeof child === "string" ? document.createTextNode(child) : child);

function renderLink(href, children) {
  if (!SAFE_LINK.test(href)) return h("span", { class: "not-a-link" }, children);
  return h("a", { href, target: "_blank", rel: "noopener noreferrer nofollow", title: href }, children);
}

function renderCode(lang, text) {
  const copy = copyButton(() => text);
  const name = (lang ?? "").split(/\s/)[0].slice(0, 30);
  return h(
    "figure",
    { class: "code" },
    h("figcaption", {}, h("span", {}, name || "code"), copy),
    h("pre", { tabindex: 0, role: "region", "aria-label": `Code ${name}` }, h("code", {}, text)),
  );
}

function renderList({ ordered, start, items }, context) {
  const entries = items.map(({ task, checked, tokens }) =>
    h("li", { class: task && "task" }, task && tokens[0]?.type !== "checkbox" && (checked ? "☑ " : "☐ "), blocks(tokens, context)),
  );
  return h(ordered ? "ol" : "ul", { start: ordered && start !== 1 && start }, entries);
}
BLOCKS.checkbox = ({ checked }) => document.createTextNode(checked ? "☑ " : "☐ ");

function renderTable({ header, rows, align }, context) {
  const cell = (tag) => ({ tokens }, index) => h(tag, { class: align[index] && `to-${align[index]}` }, inline(tokens, context));
  const table = h(
    "table",
    {},
    h("thead", {}, h("tr", {}, header.map(cell("th")))),
    h("tbody", {}, rows.map((row) => h("tr", {}, row.map(cell("td"))))),
  );
  return h("div", { class: "table", tabindex: 0, role: "region", "aria-label": "Table" }, table);
}

/** The text with its source numbers as what `cite` makes of them. */
function cited(text, { cite }) {
  if (!cite) return [text];
  const parts = [];
  let end = 0;
  for (const match of text.matchAll(SOURCE)) {
    const element = cite(Number(match[1]));
    if (!element) continue;
    parts.push(text.slice(end, match.index), element);
    end = match.index + match[0].length;
  }
  return [...parts, text.slice(end)];
}

/** Named and numbered character references, as Markdown has them. */
function decode(text) {
  return text.replace(/&(?:#(\d{1,7})|#x([\da-f]{1,6})|(\w+));/gi, (whole, decimal, hex, name) => {
    if (name) return ENTITIES[name.toLowerCase()] ?? whole;
    const point = decimal ? Number(decimal) : Number.parseInt(hex, 16);
    return point > 0 && point <= 0x10ffff ? String.fromCodePoint(point) : "\ufffd";
  });
}

/** A button that copies what `read` gives. */
export function copyButton(read, label = "Copy") {
  const copy = button({ label, iconName: "copy", class: "button quiet" }, async () => {
    await navigator.clipboard?.writeText(read()).catch(() => {});
    copy.replaceChildren(icon("check"));
    setTimeout(() => copy.replaceChildren(icon("copy")), 1500);
  });
  return copy;
}
