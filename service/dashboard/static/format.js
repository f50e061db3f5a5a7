// Formats numbers, prices, dates and durations.

const SMALL_UNITS = { GBp: "pence (GBp)", GBX: "pence (GBX)", ZAc: "cents (ZAc)", ILA: "agorot (ILA)" };
const MINUS = "\u2212";
const NONE = "\u2013";
const WEEKDAYS = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];

// Decimals and rounding are those of service/charts/numbers.py, which writes the texts of the charts.
const NO_DECIMALS = ["JPY", "KRW", "VND", "CLP", "IDR"];

function decimals(price, currency, group) {
  const size = Math.abs(price);
  if (group === "fx" && (size >= 0.01 || size === 0)) return size >= 20 ? 3 : 5;
  if (NO_DECIMALS.includes(currency)) return size >= 10 ? 0 : 2;
  if (size >= 1 || size === 0) return 2;
  return size >= 0.01 ? 4 : Math.min(12, 3 - Math.floor(Math.log10(size)));
}

/** A number with fixed decimals: halves are rounded up, thousands are separated, a zero has no sign. */
function fixed(value, places) {
  const [whole, fraction] = Math.abs(value).toFixed(places).split(".");
  const grouped = whole.replace(/\B(?=(\d{3})+$)/g, ",");
  const text = fraction === undefined ? grouped : `${grouped}.${fraction}`;
  return value < 0 && /[1-9]/.test(text) ? MINUS + text : text;
}

/** Price format of one symbol: the same number of digits for all prices, so that columns line up. */
export function priceStyle(currency, group, size) {
  const places = decimals(size ?? 0, currency, group);
  const unit = unitOf(currency);
  return {
    unit,
    bare: (value) => (value === null || value === undefined ? NONE : fixed(value, places)),
    full(value) {
      const bare = this.bare(value);
      return bare === NONE || unit === "" ? bare : `${bare} ${unit}`;
    },
    range(lower, upper) {
      return `${this.bare(lower)} to ${this.bare(upper)}`;
    },
  };
}

/** The unit of a price in words: the ISO code, or pence and the like; empty if the vendor gives none. */
function unitOf(currency) {
  if (!currency) return "";
  return SMALL_UNITS[currency] ?? currency;
}

/** A share as a signed percentage with one decimal; below rounding "0.0 %" without a sign. */
export function change(share) {
  if (share === null || share === undefined) return NONE;
  const text = percent(share, 1);
  return share > 0 && text !== "0.0 %" ? `+${text}` : text;
}

/** "up", "down" or "flat": flat below rounding, and if unknown. */
export function direction(share) {
  if (share === null || share === undefined || change(share) === "0.0 %") return "flat";
  return share > 0 ? "up" : "down";
}

/** A share as a percentage without a plus sign. */
export function percent(share, digits = 0) {
  if (share === null || share === undefined) return NONE;
  return `${fixed(100 * share, digits)} %`;
}

/** A plain number with fixed decimals. */
export function number(value, digits) {
  if (value === null || value === undefined) return NONE;
  return fixed(value, digits);
}

/** A p-value: never "0.000". */
export function pValue(p) {
  if (p === null || p === undefined) return NONE;
  return p < 0.001 ? "below 0.001" : p.toFixed(3);
}

/** A session with its weekday; sessions are dates of the exchange, in no time zone. */
export function session(date) {
  if (!date) return NONE;
  const day = new Date(`${date}T00:00:00Z`).getUTCDay();
  return `${WEEKDAYS[day]} ${date}`;
}

const formats = new Map(); // time zone -> formatter; making one is slow

/** Date, time and short name of an instant in a time zone; undefined is the visitor's. */
function localTime(at, zone) {
  if (!formats.has(zone)) {
    const fields = { year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit" };
    formats.set(zone, new Intl.DateTimeFormat("en-GB", { ...fields, hourCycle: "h23", timeZoneName: "short", timeZone: zone }));
  }
  const parts = Object.fromEntries(formats.get(zone).formatToParts(at).map(({ type, value }) => [type, value]));
  return { date: `${parts.year}-${parts.month}-${parts.day}`, time: `${parts.hour}:${parts.minute}`, name: parts.timeZoneName };
}

/** The time at the exchange, such as "17:30 New York", with its date if that differs; empty if both clocks agree. */
function exchangeTime(at, own, zone) {
  if (!zone) return "";
  const there = localTime(at, zone);
  if (there.date === own.date && there.time === own.time) return "";
  const city = zone.split("/").at(-1).replaceAll("_", " ");
  return `${there.date === own.date ? "" : `${there.date} `}${there.time} ${city}`;
}

/** An instant in the visitor's time zone followed by the time at the exchange: "2012-09-04 23:30 CEST (17:30 New York)". */
export function instant(text, zone = null) {
  if (!text) return NONE;
  const at = new Date(text);
  const own = localTime(at);
  const there = exchangeTime(at, own, zone);
  return `${own.date} ${own.time} ${own.name}${there === "" ? "" : ` (${there})`}`;
}

/** An instant of the machine's clock, which differs from market time in replay. */
export function machineInstant(text, clock) {
  return clock === "replay" ? `${instant(text)}, machine time` : instant(text);
}

/** Seconds as a countdown: "45 s", "3 min 05 s", "2 h 10 min", "3 d 4 h". */
export function countdown(seconds) {
  const left = Math.max(0, Math.round(seconds));
  if (left < 60) return `${left} s`;
  if (left < 3600) return `${Math.floor(left / 60)} min ${String(left % 60).padStart(2, "0")} s`;
  if (left < 86_400) return `${Math.floor(left / 3600)} h ${Math.floor((left % 3600) / 60)} min`;
  return `${Math.floor(left / 86_400)} d ${Math.floor((left % 86_400) / 3600)} h`;
}

/** The time between two instants in days, weeks, months or years, such as "3 weeks". */
export function age(first, last) {
  const days = Math.max(0, Math.floor((Date.parse(last) - Date.parse(first)) / 86_400_000));
  const many = (count, unit) => `${count} ${unit}${count === 1 ? "" : "s"}`;
  if (days < 14) return many(days, "day");
  if (days < 60) return many(Math.floor(days / 7), "week");
  if (days < 730) return many(Math.floor(days / 30.44), "month");
  return many(Math.floor(days / 365.25), "year");
}

/** The time between two instants, in the largest fitting unit. */
export function duration(first, last) {
  if (!first || !last) return NONE;
  const seconds = Math.max(0, (Date.parse(last) - Date.parse(first)) / 1000);
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}

const ABBREVIATIONS = /\b(lstm|garch)\b/g;

/** A stored name as text: random_walk becomes "random walk", conv_lstm "conv LSTM". */
export function word(text) {
  return text === null || text === undefined ? NONE : text.replaceAll("_", " ").replace(ABBREVIATIONS, (name) => name.toUpperCase());
}

/** A text with a capital first letter. */
export function capital(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

export { NONE };
