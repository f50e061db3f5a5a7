// The screen of one symbol: reads its data, numbers first, and paints it; a newer view aborts the older one.

import { ApiError, get, orNull, prefetch } from "./api.js";
import { paintCards } from "./cards.js";
import { Chart, Readout, loadPlotly } from "./chart.js";
import { $, painted, setAttribute, setText } from "./dom.js";
import { findNotices, paintNotices } from "./notices.js";
import { paintTraining, showModels } from "./models.js";
import { clearRecord, paintRecord } from "./track_record.js";
import { showRuns } from "./runs.js";
import { clearSteps, paintSteps } from "./steps.js";
import { theme } from "./theme.js";
import { lineOf } from "./watchlist.js";
import { Zoom } from "./zoom.js";

const VOID_SESSIONS = 6; // past sessions searched for void forecasts
const NOTICE_WAIT_MS = 300; // how long the first view waits for the data of its notices

/** Shows a view; `afterForecast(error)` is called when the forecast was read, or failed. */
export class Screen {
  #settleStatus = null;

  constructor(findLine, afterForecast) {
    this.findLine = findLine;
    this.afterForecast = afterForecast;
    this.view = { symbol: null, asOf: null, range: "3m", step: 1, tab: "forecast" };
    this.status = null;
    this.chart = new Chart("chart", "caption", "chart-table");
    this.versus = new Chart("versus", "versus-caption", "versus-table");
    this.skill = new Chart("skill", "skill-caption", "skill-table");
    this.readout = new Readout(this.chart, $("readout"));
    this.zoom = new Zoom(this.chart, $("unzoom"));
    this.controller = new AbortController();
    this.admin = null; // the admin section, while somebody with that scope is signed in
    this.isFirst = true;
    this.isShown = false;
    this.statusRead = new Promise((resolve) => {
      this.#settleStatus = resolve;
    });
    this.#reset();
  }

  /** Reads and paints a view; resolves when all of it is shown. */
  async show(view, isRedraw = false) {
    this.controller.abort();
    this.controller = new AbortController();
    const signal = this.controller.signal;
    const isChanged = view.symbol !== this.view.symbol || view.asOf !== this.view.asOf;
    this.view = { ...view };
    if (isChanged) this.#reset();
    this.line = this.findLine(view.symbol) ?? this.line;
    this.#paintTitle();
    if (!view.symbol) return this.#showNothing(signal);
    const figure = get(...this.#figure("forecast"), signal);
    figure.catch(() => {}); // #draw reports it, possibly later
    await this.#readForecast(get(...this.#forecast(), signal), signal);
    let noticeData = null;
    if (!this.isShown) await this.#reveal((noticeData = this.#readNoticeData(signal)));
    await this.#draw(figure, signal, isRedraw);
    await painted(); // the requested chart is painted before the rest is read
    noticeData ??= this.#readNoticeData(signal);
    await Promise.all([noticeData, this.#readTab(signal)]);
  }

  /** Reads further data for the notices. */
  #readNoticeData(signal) {
    const parts = [this.#readLine(signal)];
    if (!this.error) parts.push(this.#readVoids(signal));
    return Promise.all(parts);
  }

  /** Shows the page, hidden until its notices are known: a later notice would push the page down. */
  async #reveal(noticeData) {
    if (this.isShown) return;
    const timeout = new Promise((resolve) => setTimeout(resolve, NOTICE_WAIT_MS));
    await Promise.race([Promise.all([noticeData, this.statusRead]), timeout]);
    if (this.isShown) return;
    this.isShown = true;
    setAttribute($("page"), "data-waiting", null);
    if (this.forecast) performance.mark("numbers");
  }

  /** Prefetches the data of a symbol. */
  prefetch(symbol) {
    prefetch(...this.#forecast(symbol));
    prefetch(...this.#figure("forecast", symbol));
  }

  /** Shows another step in "Forecast vs actual". */
  async showStep(step) {
    this.view.step = step;
    await this.#drawOne(this.versus, "versus", this.controller.signal);
  }

  /** Reads and shows another tab. */
  async showTab(tab) {
    this.view.tab = tab;
    await this.#readTab(this.controller.signal);
  }

  /** Takes the newest /v1/status document. */
  setStatus(status) {
    this.status = status;
    this.#paintCards();
    paintTraining(status.training);
    this.#paintNotices();
    this.#settleStatus();
  }

  #reset() {
    Object.assign(this, { line: null, forecast: null, error: null, actual: null, voids: [] });
  }

  #forecast(symbol = this.view.symbol) {
    return [`/v1/forecasts/${encodeURIComponent(symbol)}`, { as_of: this.view.asOf }];
  }

  #figure(kind, symbol = this.view.symbol) {
    const query = { kind, as_of: this.view.asOf, theme: theme() };
    if (kind === "forecast") query.range = this.view.range;
    if (kind === "versus") query.step = this.view.step;
    return [`/v1/figures/${encodeURIComponent(symbol)}`, query];
  }

  async #showNothing(signal) {
    clearSteps();
    clearRecord();
    for (const place of [this.chart, this.versus, this.skill]) place.clear("No symbol yet.");
    $("forecast").hidden = true;
    this.#paintCards();
    this.#paintNotices();
    await this.#reveal(null);
    loadPlotly().catch(() => {}); // the first chart will not wait for it
    await this.#readTab(signal);
  }

  async #readForecast(request, signal) {
    try {
      this.forecast = await request;
      this.error = null;
      const actual = this.view.asOf ? await orNull(this.#closesAfter(this.forecast, signal)) : null;
      if (signal.aborted) return;
      this.actual = actual;
      paintSteps(this.forecast, actual);
    } catch (error) {
      if (error.name === "AbortError") return;
      if (!(error instanceof ApiError)) throw error;
      this.error = error;
      if (error.status !== 0) {
        this.forecast = null;
        clearSteps(error.sentence);
        this.chart.clear(error.sentence);
      }
    }
    $("forecast").hidden = this.forecast === null && this.error !== null && this.error.status !== 0;
    this.#paintTitle();
    this.#paintCards();
    this.#paintNotices();
    this.afterForecast(this.error);
  }

  /** The closes of a past forecast's target sessions, on that forecast's basis. */
  async #closesAfter(forecast, signal) {
    const sessions = (forecast.multi_step ?? forecast.one_step).steps.map((step) => step.target_session);
    const query = { first: sessions[0], last: sessions.at(-1), limit: sessions.length };
    const page = await get(`/v1/prices/${encodeURIComponent(forecast.symbol)}`, query, signal);
    const ratio = page.basis === forecast.basis.forecast ? 1 : forecast.basis.split_ratio;
    return new Map(page.items.map((bar) => [bar.session, bar.close * ratio]));
  }

  async #draw(figure, signal, isRedraw) {
    try {
      const answer = await figure;
      if (signal.aborted) return;
      const drawn = this.chart.show(answer);
      this.readout.reset();
      await drawn;
      if (signal.aborted) return;
      if (isRedraw) performance.measure("redraw", "chosen");
      if (this.isFirst) performance.mark("chart");
      this.isFirst = false;
    } catch (error) {
      if (error.name === "AbortError") return;
      this.#showError(this.chart, error);
      this.readout.reset();
      loadPlotly().catch(() => {}); // the next chart will not wait for it
    }
  }

  async #drawRecord(signal) {
    await Promise.all([this.#drawOne(this.versus, "versus", signal), this.#drawOne(this.skill, "skill", signal)]);
  }

  /** Shows the forecast's error there too, without further requests. */
  #clearRecord() {
    if (this.error.status === 0) return; // old data is better than none
    for (const place of [this.versus, this.skill]) place.clear(this.error.sentence);
    clearRecord();
  }

  async #drawOne(place, kind, signal) {
    try {
      await place.show(await get(...this.#figure(kind), signal));
    } catch (error) {
      if (error.name !== "AbortError") this.#showError(place, error);
    }
  }

  #showError(place, error) {
    const isOffline = error instanceof ApiError && error.status === 0;
    if (isOffline && place.shown !== null && place.shown.symbol === this.view.symbol) return; // old data is better than none
    place.clear(error.sentence ?? error.message);
  }

  async #readLine(signal) {
    this.line = this.findLine(this.view.symbol) ?? (await orNull(lineOf(this.view.symbol, signal))) ?? this.line;
    if (signal.aborted) return;
    this.#paintTitle();
    this.#paintNotices();
  }

  async #readVoids(signal) {
    const query = { strategy: "multi_step", step: 1, limit: VOID_SESSIONS };
    const path = `/v1/forecasts/${encodeURIComponent(this.view.symbol)}/history`;
    const page = await orNull(get(path, query, signal));
    if (signal.aborted) return;
    this.voids = page?.items.filter((item) => item.outcome.state === "void") ?? [];
    this.#paintNotices();
  }

  /** Reads what the selected tab shows; hidden tabs are read when they are selected. */
  async #readTab(signal) {
    const group = this.forecast?.group ?? this.line?.group ?? null;
    const { tab } = this.view;
    if (tab === "models") await orNull(showModels(group, signal));
    else if (tab === "runs") await orNull(showRuns(this.status, signal));
    else if (tab === "admin") await this.admin?.show();
    else if (tab === "record" && this.error) this.#clearRecord();
    else if (tab === "record" && this.forecast) await Promise.all([this.#readRecord(group, signal), this.#drawRecord(signal)]);
  }

  #paintCards() {
    const { forecast, status, actual } = this;
    paintCards({ forecast, status, actual, isLoading: forecast === null && this.error === null && this.view.symbol !== null });
  }

  async #readRecord(group, signal) {
    const mode = this.forecast?.mode ?? null;
    const records = (scope) => orNull(get("/v1/accuracy", { scope, mode, limit: 200 }, signal));
    const [own, whole] = await Promise.all([records(this.view.symbol), group ? records(group) : null]);
    if (signal.aborted || !own) return;
    paintRecord([...own.items, ...(whole?.items ?? [])], this.view.symbol, group, own.note);
  }

  #paintTitle() {
    const { symbol, asOf } = this.view;
    setText($("title"), [symbol ?? "Tplus", this.line?.name].filter(Boolean).join(" \u00b7 "));
    document.title = symbol ? `${symbol} \u00b7 Tplus` : "Tplus";
    const forecast = this.forecast;
    const day = asOf ? `Forecast at the close of ${asOf} vs actual` : "\u00a0";
    const now = forecast ? `Forecast at the close of ${forecast.as_of}, ${forecast.calendar}` : day;
    setText($("lead"), asOf ? day : now);
  }

  #paintNotices() {
    const { status, line, error, forecast, voids } = this;
    const { symbol, asOf } = this.view;
    paintNotices(findNotices({ status, line, error, forecast, voids, symbol, asOf }));
  }
}
