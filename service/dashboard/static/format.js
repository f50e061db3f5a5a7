// Numbers, prices, dates and durations as people read them.

const SMALL_UNITS = { GBp: "pence (GBp)", GBX: "pence (GBX)", ZAc: "cents (ZAc)", ILA: "agorot (ILA)" };
const MINUS = "\u2212";
const NONE = "\u2013";
const WEEKDAYS = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];

function currencyDigits(currency) {
  if (!currency || currency in SMALL_UNITS) return 2;
  try {
    const format = new Intl.NumberFormat("en", { style: "currency", currency });
    return format.resolvedOptions().maximumFractionDigits;
  } catch {
    return 2; // not an ISO code: printed as it is
  }
}

/** How prices of one symbol are written: one number of digits for all of them, so that columns line up. */
export function priceStyle(currency, group, size) {
  let digits = currencyDigits(currency);
  const magnitude = Math.abs(size ?? 0);
  if (group === "fx" && magnitude < 20) digits = 4;
  else if (magnitude > 0 && magnitude < 1) digits = Math.max(digits, 4);
  const format = new Intl.NumberFormat("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
  const unit = unitOf(currency);
  return {
    unit,
    bare: (value) => (value === null || value === undefined ? NONE : format.format(value).replace("-", MINUS)),
    full(value) {
      const bare = this.bare(value);
      return bare === NONE || unit === "" ? bare : `${bare} ${unit}`;
    },
    range(lower, upper) {
      return `${this.bare(lower)} to ${this.bare(upper)}`;
    },
  };
}

/** The unit of a price in words: the ISO code, or pence and the like; empty where the vendor names none. */
export function unitOf(currency) {
  if (!currency) return "";
  return SMALL_UNITS[currency] ?? currency;
}

/** A share as a signed percentage with one decimal; below rounding "0.0 %" without a sign. */
export function change(share) {
  if (share === null || share === undefined) return NONE;
  const rounded = Math.round(Math.abs(share) * 1000) / 10;
  if (rounded === 0) return "0.0 %";
  return `${share > 0 ? "+" : MINUS}${rounded.toFixed(1)} %`;
}

/** "up", "down" or "flat": flat below rounding, and where nothing is known. */
export function direction(share) {
  if (share === null || share === undefined || Math.round(Math.abs(share) * 1000) === 0) return "flat";
  return share > 0 ? "up" : "down";
}

/** A share between 0 and 1 as a percentage without a sign. */
export function percent(share, digits = 0) {
  if (share === null || share === undefined) return NONE;
  return `${(share * 100).toFixed(digits).replace("-", MINUS)} %`;
}

/** A plain number with fixed decimals. */
export function number(value, digits) {
  if (value === null || value === undefined) return NONE;
  return value.toFixed(digits).replace("-", MINUS);
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

/** An instant with its zone, such as "2012-09-04 21:30 UTC". */
export function instant(text) {
  if (!text) return NONE;
  return `${text.slice(0, 10)} ${text.slice(11, 16)} UTC`;
}

/** How long something took, in the largest fitting unit. */
export function duration(first, last) {
  if (!first || !last) return NONE;
  const seconds = Math.max(0, (Date.parse(last) - Date.parse(first)) / 1000);
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}

/** A stored word such as random_walk as people write it. */
export function word(text) {
  return text === null || text === undefined ? NONE : text.replaceAll("_", " ");
}

export { NONE };
