// Numbers and words as people read them.

const number = new Intl.NumberFormat("en");
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
const moment = new Intl.DateTimeFormat("en", { dateStyle: "medium", timeStyle: "short" });

const STEPS = [
  ["day", 86_400],
  ["hour", 3_600],
  ["minute", 60],
];

export const count = (value) => number.format(value);
export const short = (value) => compact.format(value);
export const plural = (value, one, many = `${one}s`) => `${count(value)} ${value === 1 ? one : many}`;

/** US dollars: whole cents from a dollar on, enough digits to see something below. */
export function dollars(value) {
  if (value === null || value === undefined) return "price unknown";
  if (value === 0) return "$0";
  if (value >= 1) return `$${number.format(Math.round(value * 100) / 100)}`;
  return value < 0.000001 ? "< $0.000001" : `$${Number(value.toPrecision(2)).toFixed(6).replace(/0+$/, "")}`;
}

export function seconds(value) {
  if (value === null || value === undefined) return "–";
  if (value < 1) return `${Math.round(value * 1000)} ms`;
  return value < 60 ? `${value.toFixed(1)} s` : `${Math.floor(value / 60)} min ${Math.round(value % 60)} s`;
}

export function bytes(value) {
  const units = ["B", "KB", "MB", "GB"];
  const step = value < 1 ? 0 : Math.min(units.length - 1, Math.floor(Math.log10(value) / 3));
  return `${(value / 1000 ** step).toFixed(step ? 1 : 0)} ${units[step]}`;
}

/** How long ago, or the date when that is long. */
export function ago(iso) {
  const passed = (Date.now() - new Date(iso).getTime()) / 1000;
  if (!Number.isFinite(passed)) return "";
  if (passed < 60) return "just now";
  const [unit, size] = STEPS.find(([, each]) => passed >= each);
  return passed > 7 * 86_400 ? moment.format(new Date(iso)) : relative.format(-Math.floor(passed / size), unit);
}

export const date = (iso) => moment.format(new Date(iso));

/** A stable code as words: `not_cleared` is "not cleared". */
export const words = (code) => String(code).replaceAll("_", " ");
