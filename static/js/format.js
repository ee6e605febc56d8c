// How live numbers read: the twin of speedtrade/lib/formats.py, tested on the same cases.
// Numbers are decimal text from end to end; none passes through a float.
import RULES from "./formats.js";

const PLAIN = /^-?\d+(\.\d+)?$/;
const formatters = new Map();

function rounded(text, places) {
  let format = formatters.get(places);
  if (!format) {
    format = new Intl.NumberFormat(RULES.locale, {
      minimumFractionDigits: places, maximumFractionDigits: places, roundingMode: "halfExpand",
    });
    formatters.set(places, format);
  }
  return format.format(text);
}

const known = (value) => typeof value === "string" && PLAIN.test(value);
const magnitude = (value) => value.replace("-", "");
const isZero = (text) => !/[1-9]/.test(text);
const trimmed = (text) => (text.includes(".") ? text.replace(/0+$/, "").replace(/\.$/, "") : text);

function signed(value, text, sign) {
  if (isZero(text)) return text;
  if (value.startsWith("-")) return RULES.minus + text;
  return sign ? RULES.plus + text : text;
}

export function direction(value) {
  if (!known(value) || isZero(value)) return "flat";
  return value.startsWith("-") ? "down" : "up";
}

export function money(value, { sign = false } = {}) {
  if (!known(value)) return RULES.missing;
  const size = magnitude(value);
  const small = !isZero(value) && isZero(size.slice(0, size.indexOf(".") + 1 + RULES.money_decimals))
    && size.includes(".");
  const text = small ? trimmed(rounded(size, RULES.money_decimals_most)) : rounded(size, RULES.money_decimals);
  return signed(value, RULES.currency + text, sign);
}

export function priceDecimals(value, tick) {
  if (known(tick) && !isZero(tick)) {
    const places = trimmed(tick).split(".")[1]?.length ?? 0;
    return Math.min(Math.max(places, RULES.price_decimals_least), RULES.price_decimals_most);
  }
  const small = !isZero(value) && magnitude(value).startsWith("0.");
  return small ? RULES.price_small_decimals : RULES.price_decimals_least;
}

export function price(value, tick = null, { sign = false } = {}) {
  if (!known(value)) return RULES.missing;
  return signed(value, RULES.currency + rounded(magnitude(value), priceDecimals(value, tick)), sign);
}

export function qty(value) {
  if (!known(value)) return RULES.missing;
  return signed(value, trimmed(rounded(magnitude(value), RULES.qty_decimals_most)), false);
}

export function pct(value, { sign = false } = {}) {
  if (!known(value)) return RULES.missing;
  return signed(value, `${rounded(magnitude(value), RULES.pct_decimals)}%`, sign);
}

export function change(amount, percent = null, tick = null) {
  const text = tick === null ? money(amount, { sign: true }) : price(amount, tick, { sign: true });
  if (!known(percent)) return text;
  if (!known(amount)) return pct(percent, { sign: true });
  return `${text} (${pct(percent, { sign: true })})`;
}

// ── exact arithmetic for what a page shows between two truths of the server ──
function parts(text) {
  const [whole, fraction = ""] = text.split(".");
  return [BigInt(whole + fraction), fraction.length];
}

function join(value, places) {
  if (places === 0) return value.toString();
  const digits = (value < 0n ? -value : value).toString().padStart(places + 1, "0");
  return `${value < 0n ? "-" : ""}${digits.slice(0, -places)}.${digits.slice(-places)}`;
}

export function times(left, right) {
  const [a, p] = parts(left);
  const [b, q] = parts(right);
  return join(a * b, p + q);
}

export function minus(left, right) {
  const [a, p] = parts(left);
  const [b, q] = parts(right);
  const places = Math.max(p, q);
  return join(a * 10n ** BigInt(places - p) - b * 10n ** BigInt(places - q), places);
}

// 100 x part / whole to four decimals, a half to the even one: as money.percent rounds.
export function percent(part, whole) {
  const [a, p] = parts(part);
  const [b, q] = parts(whole);
  if (b === 0n) return "0";
  const [above, below] = [a * 10n ** BigInt(6 + q), (b < 0n ? -b : b) * 10n ** BigInt(p)];
  const size = above < 0n ? -above : above;
  const [cut, twice] = [size / below, (size % below) * 2n];
  const near = twice > below || (twice === below && cut % 2n === 1n) ? cut + 1n : cut;
  return join(above < 0n ? -near : near, 4);
}

export { RULES };
