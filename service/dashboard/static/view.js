// The view, as in the address: ?s=AAPL&as_of=2018-06-01&range=3m&tab=record

const RANGES = ["1m", "3m", "6m", "1y", "5y", "all"];
const TABS = ["forecast", "record", "models", "runs", "admin"];
const DEFAULT_RANGE = "3m";
const DATE = /^\d{4}-\d{2}-\d{2}$/;

/** The view of the current address; symbol and asOf are null if the address has none. */
export function readView() {
  const query = new URLSearchParams(location.search);
  const asOf = query.get("as_of");
  const range = query.get("range");
  const tab = query.get("tab");
  return {
    symbol: query.get("s") || null,
    asOf: asOf !== null && DATE.test(asOf) ? asOf : null,
    range: RANGES.includes(range) ? range : DEFAULT_RANGE,
    tab: TABS.includes(tab) ? tab : TABS[0],
  };
}

/** The address of a view. */
function viewAddress(view) {
  const query = new URLSearchParams();
  if (view.symbol) query.set("s", view.symbol);
  if (view.asOf) query.set("as_of", view.asOf);
  if (view.range !== DEFAULT_RANGE) query.set("range", view.range);
  if (view.tab !== TABS[0]) query.set("tab", view.tab);
  const text = query.toString();
  return text === "" ? location.pathname : `${location.pathname}?${text}`;
}

/** Writes a view into the address, as a new history entry unless `replace`. */
export function writeView(view, replace = false) {
  const address = viewAddress(view);
  if (address === location.pathname + location.search) return;
  if (replace) history.replaceState(null, "", address);
  else history.pushState(null, "", address);
}
