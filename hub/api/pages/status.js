/*
 * The live status page: health, counts, and the latest documents as they are decided.
 *
 * What a document says reaches the page as text only, never as markup. Amounts are whole rials beyond what a JavaScript
 * number holds, so they are read as digits and shown by BigInt.
 */

const MOST_ROWS = 200;
/** So many documents are kept in mind beyond those listed, for the filters; now and then twice as many. */
const MOST_KEPT = 1000;
const MOST_LINES = 200;
const FIRST_PAGE = 50;
const HEALTH_MS = 5_000;
const ANSWER_MS = 8_000;
/** The server sends something every 15 s; a connection that is silent for longer than this is dead. */
const SILENCE_MS = 40_000;
/** After so long away the latest documents are read anew: cheaper than everything that happened meanwhile. */
const LONG_AWAY_MS = 10 * 60_000;
const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 10_000;
const FRESH_MS = 4_000;
const WEBHOOKS_MS = 10_000;
/** So many deliveries are shown of each webhook: of the latest, and of those given up. */
const MOST_DELIVERIES = 30;

const COMMAND_REFUSED = "document.command_refused";

const PERSIAN = 0;
const ENGLISH = 1;

/** Every text of the page: Persian, English. */
const WORDS = {
  title: ["پیوند · وضعیت زنده", "Peyvand · live status"],
  name: ["پیوند", "Peyvand"],
  tagline: ["سندها، از رسیدن تا دفتر", "Documents, from arrival to the books"],
  skip: ["رفتن به سندها", "Skip to the documents"],
  other_language: ["English", "فارسی"],

  connecting: ["در حال اتصال…", "connecting…"],
  live: ["زنده", "live"],
  lost: ["قطع شده", "offline"],
  locked: ["کلید لازم است", "key needed"],
  lost_since: [
    "ارتباط با سرور قطع شده است. آنچه می‌بینید تا ساعت {time} است؛ این صفحه خودش دوباره وصل می‌شود.",
    "The connection to the server is lost. What you see is as of {time}; this page reconnects by itself.",
  ],
  lost_at_first: [
    "به سرور وصل نمی‌شود؛ این صفحه خودش دوباره تلاش می‌کند.",
    "The server can't be reached; this page keeps trying by itself.",
  ],
  healed: ["دوباره وصل شد.", "Connected again."],
  retry: ["همین حالا", "Try now"],

  health_ok: ["همه‌چیز کار می‌کند", "Everything works"],
  health_ok_more: [
    "سندها پذیرفته می‌شوند و دربارهٔ آن‌ها تصمیم گرفته می‌شود.",
    "Documents are taken and decided.",
  ],
  health_failing: ["چیزی درست کار نمی‌کند", "Something is wrong"],
  health_unknown: ["سرور پاسخ نمی‌دهد", "The server doesn't answer"],
  health_unknown_more: [
    "تا پاسخ نیاید وضعیت معلوم نیست؛ هر چند ثانیه دوباره پرسیده می‌شود.",
    "Until it does, nothing is known; it is asked again every few seconds.",
  ],
  health_asking: ["در حال پرسیدن وضعیت…", "Asking how things are…"],
  checks: ["همهٔ بررسی‌ها", "All checks"],
  well: ["درست", "well"],
  wrong: ["نادرست", "wrong"],

  key_title: ["برای دیدن سندها کلید لازم است", "A key is needed to see the documents"],
  key_why: [
    "کلید API با دسترسی documents:read و live:read را وارد کنید. فقط در همین زبانهٔ مرورگر و تا بستن آن می‌ماند.",
    "Enter an API key with the scopes documents:read and live:read. It is kept in this browser tab only, until it closes.",
  ],
  key: ["کلید API", "API key"],
  key_use: ["ورود", "Enter"],
  key_wrong: [
    "این کلید درست نیست یا باطل شده است. آن را کامل وارد کنید.",
    "This key isn't valid, or it was revoked. Enter the whole of it, as it was shown.",
  ],
  key_forget: ["فراموش کردن کلید", "Forget the key"],
  key_give: ["ورود با کلید", "Enter with a key"],

  counts: ["شمار سندها در هر وضعیت", "Documents by state"],
  all: ["همه", "all"],

  documents: ["آخرین سندها", "Latest documents"],
  known: ["{known} سند", "{known} documents"],
  shown: ["{shown} از {known} سند", "{shown} of {known} documents"],
  search: ["شناسه، مبدأ یا حساب", "Id, source or account"],
  pause: ["توقف", "Pause"],
  resume: ["ادامه", "Resume"],
  waiting: ["{count} سند تازه", "{count} new"],
  caption: [
    "آخرین سندها، تازه‌ترین در بالا؛ با زدن هر ردیف سرگذشت سند دیده می‌شود.",
    "The latest documents, the newest on top; a row opens the document's story.",
  ],
  time: ["زمان", "Time"],
  document: ["سند", "Document"],
  account: ["حساب", "Account"],
  payable: ["قابل پرداخت", "Payable"],
  state: ["وضعیت", "State"],
  reasons: ["علت", "Reasons"],
  rial: ["ریال", "rials"],
  empty: [
    "هنوز سندی نیامده است؛ با رسیدن نخستین سند، همین‌جا دیده می‌شود.",
    "No document has come yet; the first one will appear here.",
  ],
  no_match: [
    "هیچ‌یک از سندهای اخیر با این صافی نمی‌خواند؛ سند قدیمی با شناسه یا حساب کامل پیدا می‌شود.",
    "None of the latest documents matches; an older one is found by its whole id or account.",
  ],
  asking: ["در حال خواندن…", "Reading…"],
  news_one: ["{document}: {state}", "{document}: {state}"],
  news_more: ["{count} سند تغییر کرد؛ آخرین: {document}، {state}", "{count} documents changed; the latest: {document}, {state}"],
  zone: ["زمان‌ها به وقت تهران است.", "Times are those of Tehran."],
  api: ["شرح API", "API description"],

  refused: ["پذیرفته نشد", "not taken"],
  refused_command: ["فرمان «{command}» پذیرفته نشد", "“{command}” was refused"],

  close: ["بستن", "Close"],
  story_failed: ["سرگذشت سند خوانده نشد؛ کمی بعد دوباره باز کنید.", "The document's story couldn't be read; open it again in a moment."],
  undecided: ["دربارهٔ این سند هنوز تصمیمی گرفته نشده است.", "This document isn't decided yet."],
  history: ["سرگذشت", "History"],
  lines: ["ردیف‌ها", "Lines"],
  more_lines: ["و {count} ردیف دیگر", "and {count} more lines"],
  line: ["ردیف {number}", "line {number}"],
  about: ["مشخصات", "Particulars"],
  product: ["کالا", "Product"],
  quantity: ["مقدار", "Quantity"],
  unit_price: ["بها", "Price"],
  discount: ["تخفیف", "Discount"],
  tax: ["مالیات و عوارض", "Tax"],
  reserved: ["{quantity} رزرو", "{quantity} reserved"],
  short: ["{quantity} کم", "{quantity} short"],
  gross: ["جمع", "Gross"],
  net: ["خالص", "Net"],
  vat: ["مالیات بر ارزش افزوده", "VAT"],
  duty: ["عوارض شهرداری", "Municipal duty"],
  date: ["تاریخ سند", "Document date"],
  received: ["رسیده در", "Received"],
  changed: ["آخرین تغییر", "Last change"],
  expires: ["مهلت رزرو", "Reserved until"],
  revision: ["ویرایش", "Revision"],
  payment: ["تسویه", "Payment"],
  method: ["روش پرداخت", "Paid by"],
  warehouse: ["انبار", "Warehouse"],
  to_warehouse: ["به انبار", "To warehouse"],
  approval: ["تأییدکننده", "Approval"],
  posting: ["شمارهٔ ثبت", "Number in the books"],
  note: ["یادداشت", "Note"],
  released: ["آزادکننده", "Released by"],
  id: ["شناسهٔ سند", "Document id"],
  by: ["از سوی {actor}", "by {actor}"],

  webhooks: ["وب‌هوک‌ها", "Webhooks"],
  webhooks_well: ["{count}، همه درست", "{count}, all well"],
  webhooks_bad: ["{count}، {bad} با اشکال", "{count}, {bad} in trouble"],
  activate: ["فعال‌سازی دوباره", "Set active again"],
  deliveries: ["ارسال‌ها", "Deliveries"],
  no_deliveries: ["هنوز چیزی فرستاده نشده است.", "Nothing was sent yet."],
  attempts: ["{count} بار", "attempts: {count}"],
  answered: ["پاسخ {status}", "answer {status}"],
  redeliver: ["ارسال دوباره", "Send again"],

  action_note: ["یادداشت شما (اختیاری)", "Your note (optional)"],
  approve: ["تأیید سند", "Approve"],
  refuse: ["رد سند", "Refuse"],
  release: ["آزادسازی برای ثبت در حسابگر", "Release to the books"],
  action_failed: ["انجام نشد؛ کمی بعد دوباره بزنید.", "It wasn't done; try again in a moment."],
};

const STATES = {
  held: ["در انتظار تأیید", "held"],
  backordered: ["در انتظار موجودی", "backordered"],
  cleared: ["تأییدشده", "cleared"],
  posting: ["در حال ثبت در حسابگر", "posting"],
  posted: ["ثبت‌شده در حسابگر", "posted"],
  post_failed: ["ثبت ناموفق در حسابگر", "post failed"],
  rejected: ["ردشده", "rejected"],
  cancelled: ["لغوشده", "cancelled"],
  expired: ["منقضی‌شده", "expired"],
};

/** Of documents, webhooks and their deliveries. */
const TONES = {
  held: "wait",
  backordered: "wait",
  cleared: "good",
  posting: "busy",
  posted: "good",
  post_failed: "bad",
  rejected: "bad",
  cancelled: "gone",
  expired: "gone",
  refused: "bad",
  well: "good",
  failing: "wait",
  inactive: "bad",
  pending: "wait",
  delivered: "good",
  given_up: "bad",
};

const KINDS = {
  quote: ["پیش‌فاکتور", "quote"],
  sales_order: ["سفارش فروش", "sales order"],
  sales_invoice: ["فاکتور فروش", "sales invoice"],
  sales_return: ["برگشت از فروش", "sales return"],
  purchase_order: ["سفارش خرید", "purchase order"],
  purchase_invoice: ["فاکتور خرید", "purchase invoice"],
  receipt: ["دریافت وجه", "receipt"],
  transfer: ["انتقال بین انبارها", "transfer"],
  goods_issue: ["حوالهٔ خروج کالا", "goods issue"],
  goods_receipt: ["رسید ورود کالا", "goods receipt"],
};

const COMMANDS = {
  submit: ["ارسال", "submit"],
  amend: ["ویرایش", "amend"],
  approve: ["تأیید", "approve"],
  refuse: ["رد", "refuse"],
  cancel: ["لغو", "cancel"],
  release: ["آزادسازی", "release"],
  expire: ["انقضا", "expire"],
  reconsider: ["بررسی دوباره", "reconsider"],
  posting_started: ["آغاز ثبت در حسابگر", "posting started"],
  posting_succeeded: ["ثبت در حسابگر", "posting succeeded"],
  posting_failed: ["خطای ثبت در حسابگر", "posting failed"],
};

const WEBHOOKS = {
  well: ["درست", "well"],
  failing: ["ناموفق", "failing"],
  inactive: ["غیرفعال", "inactive"],
};

const DELIVERIES = {
  pending: ["در صف", "waiting"],
  delivered: ["رسیده", "delivered"],
  given_up: ["بی‌نتیجه", "given up"],
};

const PAYMENTS = {
  credit: ["اعتباری", "credit"],
  cash: ["نقدی", "cash"],
  card: ["کارت", "card"],
  cheque: ["چک", "cheque"],
};

// --- language, numbers, dates

const LANGUAGE = "peyvand.language";

let language = storage("localStorage")?.getItem(LANGUAGE) === "en" ? ENGLISH : PERSIAN;

/** One of the browser's storages; null in a browser that keeps nothing, where the page works all the same. */
function storage(name) {
  try {
    return window[name];
  } catch {
    return null;
  }
}

function say(word, data = {}) {
  return WORDS[word][language].replace(/\{(\w+)\}/g, (_, name) => data[name]);
}

/** What a state, kind or command is called; one this page doesn't know yet is shown as it is. */
function called(table, value) {
  return Object.hasOwn(table, value) ? table[value][language] : value;
}

const CLOCK = { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" };
const DIGITS_DATE = { year: "numeric", month: "2-digit", day: "2-digit" };
const NAMED_DATE = { year: "numeric", month: "short", day: "numeric" };

const FORMATS = [
  { number: new Intl.NumberFormat("fa-IR"), clock: inTehran("fa-IR", CLOCK), jalali: "fa-IR-u-ca-persian" },
  { number: new Intl.NumberFormat("en-GB"), clock: inTehran("en-GB", CLOCK), jalali: "fa-IR-u-ca-persian-nu-latn" },
];
const JALALI = FORMATS.map((format) => inTehran(format.jalali, DIGITS_DATE));
const GREGORIAN = inTehran("en-GB", NAMED_DATE);

function inTehran(locale, options) {
  return new Intl.DateTimeFormat(locale, { timeZone: "Asia/Tehran", ...options });
}

/** The day in the language's own calendar, then in the other. */
function days(moment) {
  const both = [JALALI[language].format(moment), GREGORIAN.format(moment)];
  return language === PERSIAN ? both : both.reverse();
}

function clock(moment) {
  return FORMATS[language].clock.format(moment);
}

function persianDigits(text) {
  return text.replace(/\d/g, (digit) => "۰۱۲۳۴۵۶۷۸۹"[digit]);
}

/** A whole number with thousands marks: a number, or the digits of one too large for it. */
function number(value) {
  return FORMATS[language].number.format(BigInt(value));
}

/** A decimal number that came as text, exact. */
function decimal(text) {
  const [, whole, places] = /^(-?\d+)(?:\.(\d+))?$/.exec(text) ?? [];
  if (whole === undefined) return text;
  const shown = number(whole);
  const fraction = places?.replace(/0+$/, "");
  if (!fraction) return shown;
  return language === PERSIAN ? `${shown}٫${persianDigits(fraction)}` : `${shown}.${fraction}`;
}

/** A sentence of the hub's; in Persian its numbers get Persian digits, but not what is part of a code like RAM-1. */
function sentence(fa, en) {
  if (language === ENGLISH) return en;
  return fa.replace(/(?<![\w-])\d+(?:[.,/:]\d+)*(?![\w-])/g, (found) =>
    persianDigits(found.replaceAll(",", "٬").replace(/^([\d٬]+)\.(\d+)$/, "$1٫$2")),
  );
}

function reasonText(reason) {
  const text = sentence(reason.fa, reason.en);
  return reason.line === undefined ? text : `${say("line", { number: number(reason.line) })}: ${text}`;
}

/** One spelling for finding things: case, Persian and Arabic digits, ي and ك. */
function plain(text) {
  return text
    .toLowerCase()
    .replace(/[۰-۹]/g, (digit) => "۰۱۲۳۴۵۶۷۸۹".indexOf(digit))
    .replace(/[٠-٩]/g, (digit) => "٠١٢٣٤٥٦٧٨٩".indexOf(digit))
    .replace(/[يى]/g, "ی")
    .replaceAll("ك", "ک")
    .trim();
}

// --- the page's own elements

const $ = (id) => document.getElementById(id);

/** An element; children that are texts become text nodes, null and undefined are left out. */
function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== undefined) made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** A code, a number or another's words: its direction is its own business, whatever stands around it. */
function bdi(text) {
  return element("bdi", {}, text);
}

/** Sets a text only if it changes, so that screen readers aren't told the same thing again. */
function setText(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

function money(rials) {
  return [bdi(number(rials)), " ", element("span", { class: "unit" }, say("rial"))];
}

function badge(state) {
  return toned(state, state === "refused" ? say("refused") : called(STATES, state));
}

function toned(state, text) {
  return element("span", { class: `badge ${TONES[state] ?? "gone"}` }, text);
}

/** A moment, both calendars in its title. */
function timeElement(moment, ...children) {
  const title = `${days(moment).join(" · ")} ${clock(moment)}`;
  return element("time", { datetime: new Date(moment).toISOString(), title }, ...children);
}

/** Calls `work` soon, and then at most once in `ms`, however often it is asked for. */
function atMostEvery(ms, work) {
  let timer = null;
  let last = -Infinity;
  return () => {
    timer ??= setTimeout(() => {
      timer = null;
      last = performance.now();
      work();
    }, Math.max(last + ms - performance.now(), 0));
  };
}

// --- asking the API

const KEY = "peyvand.key";

let key = storage("sessionStorage")?.getItem(KEY) ?? null;

/** The API answered, and not with what was asked for. `problem` is its problem+json, if it sent one. */
class Refused extends Error {
  constructor(status, problem) {
    super(`the API answered ${status}`);
    this.status = status;
    this.problem = problem;
  }
}

/** Raises Refused, or what fetch raises when there is no answer. */
async function ask(path, { headers = {}, signal = AbortSignal.timeout(ANSWER_MS), ...more } = {}) {
  const authorization = key === null ? {} : { Authorization: `Bearer ${key}` };
  const response = await fetch(path, { ...more, headers: { ...headers, ...authorization }, signal, cache: "no-store" });
  if (!response.ok) {
    throw new Refused(response.status, await response.json().catch(() => null));
  }
  return response;
}

/** What a problem+json says; the `otherwise` of our words if there is none. */
function problemText(problem, otherwise) {
  return problem?.detail && problem.detail_fa ? sentence(problem.detail_fa, problem.detail) : say(otherwise);
}

async function askJson(path) {
  return exactJson(await (await ask(path)).text());
}

async function send(method, path, body) {
  await ask(path, { method, headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
}

/** What the key may do; nothing without one. */
let scopes = [];

function may(scope) {
  return scopes.includes(scope) || scopes.includes("admin");
}

async function readScopes() {
  scopes = key === null ? [] : (await askJson("/v1/me")).scopes;
}

/** JSON with whole numbers too large for a JavaScript number as their digits. */
function exactJson(text) {
  if (!/\d{16}/.test(text)) return JSON.parse(text);
  const quoted = text.replace(/"(?:[^"\\]|\\.)*"|-?\d{16,}/g, (token) => (token[0] === '"' ? token : `"${token}"`));
  return JSON.parse(quoted);
}

// --- what is known of the latest documents

/**
 * By document id.
 *
 * `doc` is the document without its lines, null if only a refused command is known; `refusal` is the event of a command refused since it
 * last changed. `at` is when something last happened; `place` is the moment by which it is listed: null, or behind `at`,
 * while the list is held. `row` is null unless listed; it `isStale` until it shows what is known, and `isFresh` if that is
 * to be noticed.
 */
const entries = new Map();
const changedSince = { count: 0, last: null };

function entryOf(id, source, sourceId) {
  let entry = entries.get(id);
  if (!entry) {
    entry = { id, source, sourceId, doc: null, refusal: null, at: 0, place: null, row: null };
    entry.isStale = entry.isFresh = false;
    entries.set(id, entry);
  }
  return entry;
}

/** Take in a document as a list has it; true if it is news. */
function takeDocument(doc) {
  const entry = entryOf(doc.id, doc.source, doc.source_id);
  if (entry.doc && entry.doc.step >= doc.step) return false;
  entry.doc = { ...doc, lines: [] }; // the story reads the lines, there may be thousands
  entry.refusal = null;
  entry.at = Date.parse(doc.changed_at);
  entry.isStale = true;
  return true;
}

/** Take in an event of the feed; true if it is news. */
function takeEvent(event) {
  if (event.type !== COMMAND_REFUSED) return takeDocument(event.document);
  const entry = entryOf(event.document_id, event.source, event.source_id);
  if (event.document) takeDocument(event.document);
  entry.refusal = event;
  entry.at = Date.parse(event.recorded_at);
  entry.isStale = true;
  return true;
}

function onEvent(event) {
  if (!takeEvent(event)) return;
  const entry = entries.get(event.document_id);
  entry.isFresh = true;
  changedSince.count += 1;
  changedSince.last = entry;
  if (entries.size > 2 * MOST_KEPT) forgetOldest();
  drawSoon();
  announceSoon();
  countSoon();
  if (storyId === entry.id) readStorySoon();
}

function forgetOldest() {
  const byAge = [...entries.values()].sort((one, other) => other.at - one.at);
  byAge.slice(MOST_KEPT).forEach(forget);
  askedFor = ""; // what the filter had found may be among them
  readWantedSoon();
}

function forget(entry) {
  entries.delete(entry.id);
  entry.row?.remove();
}

/** Read the latest documents. What changed while nobody told us is news; what isn't among them may have changed too. */
async function readLatest() {
  const page = await askJson(`/v1/documents?limit=${FIRST_PAGE}`);
  const latest = new Set(page.items.map((doc) => doc.id));
  const isNews = entries.size > 0;
  for (const entry of [...entries.values()]) {
    if (!latest.has(entry.id)) forget(entry);
  }
  for (const doc of page.items) {
    if (takeDocument(doc)) entries.get(doc.id).isFresh = isNews;
  }
  for (const entry of entries.values()) entry.place = entry.at;
  isRead = true;
  askedFor = "";
  readWantedSoon();
  draw();
}

const readWantedSoon = atMostEvery(1_000, readWanted);
/** For which filter older documents were read since the latest were; "" if for none. */
let askedFor = "";

/** The lists that have what the filter is for: of its state, and of what was typed as the id or the account it may be. */
function questions() {
  const typed = $("search").value.trim();
  const [, source, own] = /^([^/]+)\/(.+)$/.exec(typed) ?? [];
  const asked = [
    wantedState && { state: wantedState },
    typed && { source_id: typed },
    typed && { account: typed },
    own && { source, source_id: own },
  ];
  return asked.filter(Boolean).map((one) => new URLSearchParams(one).toString());
}

/** Read what the filter is for: it may be older than all that is known. */
async function readWanted() {
  const asked = questions();
  if (connection !== "live" || asked.join() === askedFor) return;
  try {
    const pages = await Promise.all(asked.map((one) => askJson(`/v1/documents?limit=${MOST_ROWS}&${one}`)));
    for (const doc of pages.flatMap((page) => page.items)) {
      if (takeDocument(doc)) entries.get(doc.id).place ??= Date.parse(doc.changed_at);
    }
  } catch (error) {
    if (error.status !== 422) {
      readWantedSoon(); // what is known is shown meanwhile; health tells what is wrong
      return;
    }
  }
  askedFor = asked.join();
  draw();
}

// --- the list

/** Whether the list was read, and nothing was missed since. */
let isRead = false;
let isPaused = false;
let wantedState = "";
let wantedText = "";

const drawSoon = atMostEvery(200, draw);
const announceSoon = atMostEvery(5_000, announce);

/** Rows stay where they are while someone reads further down, or asked for it. */
function isHeld() {
  return isPaused || $("rows").getBoundingClientRect().top < 0;
}

function matches(entry) {
  if (wantedState && entry.doc?.state !== wantedState) return false;
  if (!wantedText) return true;
  return plain(`${entry.source}/${entry.sourceId} ${entry.doc?.account ?? ""}`).includes(wantedText);
}

function draw() {
  const matching = [...entries.values()].filter(matches);
  const held = isHeld();
  if (!held) for (const entry of entries.values()) entry.place = entry.at;
  const listed = matching
    .filter((entry) => entry.place !== null)
    .sort((one, other) => other.place - one.place)
    .slice(0, MOST_ROWS);
  placeRows(listed);
  showWaiting(held ? matching.filter((entry) => entry.place !== entry.at).length : 0);
  const figures = { shown: number(listed.length), known: number(entries.size) };
  setText($("shown"), isRead ? say(listed.length === entries.size ? "known" : "shown", figures) : "");
  $("empty").hidden = listed.length > 0;
  const isAsked = isRead && questions().join() === askedFor;
  setText($("empty"), say(!isAsked ? "asking" : entries.size ? "no_match" : "empty"));
}

function placeRows(listed) {
  const body = $("rows");
  const focused = body.contains(document.activeElement) ? document.activeElement : null;
  const wanted = new Set(listed.map((entry) => entry.id));
  for (const row of [...body.children]) {
    if (!wanted.has(row.dataset.id)) dropRow(row);
  }
  let next = body.firstElementChild;
  for (const entry of listed) {
    const row = freshRow(entry);
    if (row === next) next = next.nextElementSibling;
    else body.insertBefore(row, next);
  }
  if (focused?.isConnected) focused.focus({ preventScroll: true });
}

function dropRow(row) {
  row.remove();
  const entry = entries.get(row.dataset.id);
  if (entry) entry.row = null;
}

function freshRow(entry) {
  if (entry.isStale || entry.row === null) {
    entry.row ??= newRow(entry);
    entry.isStale = false;
    fillRow(entry);
  }
  if (entry.isFresh) {
    entry.isFresh = false;
    highlight(entry.row);
  }
  return entry.row;
}

const COLUMNS = ["time", "document", "account", "payable", "state", "reasons"];

function newRow(entry) {
  const row = element("tr", { role: "row", "data-id": entry.id });
  for (const column of COLUMNS) row.append(element("td", { role: "cell", class: column }));
  const open = element("button", { type: "button", class: "open", "aria-haspopup": "dialog" }, bdi(entry.sourceId));
  row.querySelector(".document").append(open, element("span", { class: "kind" }));
  open.title = entry.sourceId;
  return row;
}

function fillRow({ row, source, doc, refusal, at }) {
  const cell = (column) => row.querySelector(`td.${column}`);
  const dates = language === PERSIAN ? days(at)[0] : days(at).join(" · ");
  cell("time").replaceChildren(timeElement(at, element("b", {}, clock(at)), " ", element("span", {}, dates)));
  const kind = doc ? [called(KINDS, doc.kind), " · "] : [];
  row.querySelector(".kind").replaceChildren(...kind, bdi(source));
  cell("account").replaceChildren(doc?.account ? bdi(doc.account) : "–");
  cell("account").dataset.label = doc?.account ? say("account") : "";
  cell("payable").replaceChildren(...(isNothing(doc?.totals?.payable) ? ["–"] : money(doc.totals.payable)));
  cell("state").replaceChildren(badge(doc?.state ?? "refused"));
  const text = whyText(doc, refusal);
  cell("reasons").replaceChildren(element("span", { title: text }, text));
}

function isNothing(rials) {
  return rials === undefined || BigInt(rials) === 0n;
}

function whyText(doc, refusal) {
  const parts = (refusal?.reasons ?? doc?.reasons ?? []).map(reasonText);
  if (refusal) parts.unshift(say("refused_command", { command: called(COMMANDS, refusal.command) }));
  return parts.join(language === PERSIAN ? "؛ " : "; ");
}

function highlight(row) {
  row.classList.add("fresh");
  clearTimeout(row.faded);
  row.faded = setTimeout(() => row.classList.remove("fresh"), FRESH_MS);
}

function showWaiting(count) {
  const text = count ? say("waiting", { count: number(count) }) : "";
  setText($("waiting"), text);
  $("waiting").hidden = count === 0 || isPaused;
  setText($("pause"), isPaused ? [say("resume"), text && `(${text})`].join(" ").trim() : say("pause"));
}

/** Tell screen readers, every few seconds at most. */
function announce() {
  const { count, last } = changedSince;
  if (!count) return;
  const state = last.refusal || !last.doc ? say("refused") : called(STATES, last.doc.state);
  const data = { count: number(count), document: last.sourceId, state };
  $("news").textContent = say(count > 1 ? "news_more" : "news_one", data);
  changedSince.count = 0;
}

// --- counts, which are also the filter by state

const countSoon = atMostEvery(2_000, readCounts);
let counts = null;

async function readCounts() {
  if (connection !== "live") return;
  try {
    counts = await askJson("/v1/documents/counts");
  } catch {
    countSoon(); // the old figures stay meanwhile; health tells what is wrong
    return;
  }
  drawTiles();
}

function buildTiles() {
  for (const state of ["", ...Object.keys(STATES)]) {
    const tile = element(
      "button",
      { type: "button", class: `tile ${TONES[state] ?? ""}`, "data-state": state },
      element("span", { class: "count" }),
      " ",
      element("span", { class: "label" }),
    );
    tile.addEventListener("click", () => {
      wantedState = wantedState === state ? "" : state;
      drawTiles();
      draw();
      readWantedSoon();
    });
    $("tiles").append(element("li", {}, tile));
  }
}

function drawTiles() {
  for (const tile of $("tiles").querySelectorAll("button")) {
    const { state } = tile.dataset;
    const count = counts === null ? null : state ? (counts.states[state] ?? 0) : counts.total;
    setText(tile.querySelector(".count"), count === null ? "–" : number(count));
    setText(tile.querySelector(".label"), state ? called(STATES, state) : say("all"));
    tile.classList.toggle("none", count === 0);
    tile.setAttribute("aria-pressed", String(wantedState === state));
  }
}

// --- webhooks, for a key that may manage them

const readWebhooksSoon = atMostEvery(1_000, readWebhooks);
let webhooks = [];
/** The deliveries of the webhooks that are looked into, by their ids. */
const deliveries = new Map();
/** What became of the last request: what ask() raised, and of which webhook; null if all is well. */
let webhookTrouble = null;
let drawnWebhooks = "";

async function readWebhooks() {
  if (connection !== "live" || !may("webhooks:manage")) return;
  try {
    webhooks = (await askJson("/v1/webhooks")).items;
    const logs = webhooks.filter(({ id }) => deliveries.has(id)).map(async ({ id }) => [id, await readDeliveries(id)]);
    for (const [id, log] of await Promise.all(logs)) deliveries.set(id, log);
  } catch {
    return; // it is read again before long; health tells what is wrong
  }
  drawWebhooks();
}

async function readDeliveries(id) {
  const path = `/v1/webhooks/${id}/deliveries?limit=${MOST_DELIVERIES}`;
  const pages = await Promise.all([askJson(path), askJson(`${path}&status=given_up`)]);
  const byId = new Map(pages.flatMap((page) => page.items).map((each) => [each.id, each]));
  return [...byId.values()].sort((one, other) => other.id - one.id);
}

function forgetWebhooks() {
  webhooks = [];
  deliveries.clear();
  drawWebhooks();
}

/** Draw them if anything is new, so that nobody's selection or focus is taken for nothing. */
function drawWebhooks() {
  const now = JSON.stringify([language, webhooks, [...deliveries], webhookTrouble]);
  if (now === drawnWebhooks) return;
  drawnWebhooks = now;
  const bad = webhooks.filter(({ status }) => status !== "well").length;
  const figures = { count: number(webhooks.length), bad: number(bad) };
  $("webhooks").hidden = !webhooks.length;
  setText($("webhooks-more"), say(bad ? "webhooks_bad" : "webhooks_well", figures));
  const focused = document.activeElement.dataset.button;
  $("webhook-list").replaceChildren(...webhooks.map(webhookItem));
  if (focused) $("webhook-list").querySelector(`[data-button="${focused}"]`)?.focus();
}

function webhookItem(webhook) {
  const { id, status, url, source, notice, notice_fa } = webhook;
  const log = deliveries.get(id);
  const trouble = webhookTrouble?.id === id ? problemText(webhookTrouble.problem, "action_failed") : null;
  const activate = () => askWebhook(id, "PATCH", "", { active: true });
  return element(
    "li",
    {},
    element("p", {}, toned(status, called(WEBHOOKS, status)), " ", bdi(url), " ", small(source)),
    notice && element("p", { class: "dim" }, sentence(notice_fa, notice)),
    element(
      "div",
      { class: "buttons" },
      button(`log ${id}`, "deliveries", () => toggleLog(id), { "aria-expanded": String(deliveries.has(id)) }),
      status === "inactive" ? button(`activate ${id}`, "activate", activate) : null,
    ),
    trouble && element("p", { class: "problem", role: "alert" }, trouble),
    deliveries.has(id) ? logOf(webhook, log) : null,
  );
}

function logOf(webhook, log) {
  if (!log?.length) return element("p", { class: "dim" }, say(log ? "no_deliveries" : "asking"));
  return element("ul", { class: "log" }, ...log.map((each) => deliveryItem(webhook, each)));
}

function deliveryItem(webhook, { id, type, status, document_id, created_at, attempts, tries }) {
  const what = type === COMMAND_REFUSED ? say("refused") : called(STATES, type.replace("document.", ""));
  const at = Date.parse(created_at);
  const last = tries.at(-1);
  const outcome = last && (last.status ? say("answered", { status: number(last.status) }) : last.error);
  const mayBeSent = webhook.status !== "inactive" && (status !== "pending" || attempts > 0);
  const again = () => askWebhook(webhook.id, "POST", `/deliveries/${id}/redeliver`);
  return element(
    "li",
    {},
    toned(status, called(DELIVERIES, status)),
    element("p", {}, bdi(what), " · ", timeElement(at, `${days(at)[0]} ${clock(at)}`)),
    document_id && documentLink(document_id),
    last ? element("small", {}, say("attempts", { count: number(attempts) }), " · ", bdi(outcome)) : null,
    mayBeSent ? button(`again ${id}`, "redeliver", again) : null,
  );
}

function documentLink(id) {
  const link = element("button", { type: "button", class: "link" }, bdi(entries.get(id)?.sourceId ?? id.slice(0, 8)));
  link.addEventListener("click", () => openStory(id));
  return link;
}

/** A button that keeps the focus when it is drawn anew, by its name. */
function button(name, word, onClick, attributes = {}) {
  const made = element("button", { type: "button", class: "quiet", "data-button": name, ...attributes }, say(word));
  made.addEventListener("click", onClick);
  return made;
}

function toggleLog(id) {
  if (!deliveries.delete(id)) deliveries.set(id, null);
  drawWebhooks();
  readWebhooksSoon();
}

/** Ask for something to be done with a webhook, and show what came of it, now and a moment later. */
async function askWebhook(id, method, path, body) {
  webhookTrouble = null;
  try {
    await send(method, `/v1/webhooks/${id}${path}`, body);
    setTimeout(readWebhooksSoon, 2 * FIRST_PAUSE_MS);
  } catch (error) {
    webhookTrouble = { id, problem: error.problem };
  }
  drawWebhooks();
  readWebhooksSoon();
}

// --- health

const askHealthSoon = atMostEvery(1_000, askHealth);
/** undefined: not asked yet; null: no answer. */
let health;

async function askHealth() {
  try {
    const response = await fetch("/health", { signal: AbortSignal.timeout(ANSWER_MS), cache: "no-store" });
    const answer = await response.json();
    health = Array.isArray(answer.checks) ? answer : null;
  } catch {
    health = null;
  }
  drawHealth();
}

function drawHealth() {
  const wrong = (health?.checks ?? []).filter((check) => !check.ok);
  const verdict = !health ? "unknown" : wrong.length || health.status !== "ok" ? "failing" : "ok";
  document.body.dataset.health = verdict;
  setText($("health"), say(health === undefined ? "health_asking" : `health_${verdict}`));
  setText($("health-more"), health === undefined || verdict === "failing" ? "" : say(`health_${verdict}_more`));
  setList($("troubles"), wrong.map((check) => sentence(check.fa, check.en)));
  $("checks").hidden = !health;
  setList(
    $("check-list"),
    (health?.checks ?? []).map((check) => `${say(check.ok ? "well" : "wrong")}: ${sentence(check.fa, check.en)}`),
  );
  drawTitle();
}

function setList(list, texts) {
  while (list.children.length > texts.length) list.lastElementChild.remove();
  while (list.children.length < texts.length) list.append(element("li"));
  texts.forEach((text, index) => setText(list.children[index], text));
}

function drawTitle() {
  const isTroubled = connection === "lost" || (health !== undefined && document.body.dataset.health !== "ok");
  document.title = (isTroubled ? "⚠ " : "") + say("title");
}

// --- the connection

/** connecting, live, lost or locked */
let connection = "connecting";
let lastId = "";
let lastHeard = 0;
let isHealed = false;
let stream = null;
let wake = () => {};

function setConnection(now) {
  if (connection === "lost" && now === "live") {
    isHealed = true;
    setTimeout(() => {
      isHealed = false;
      drawConnection();
    }, FRESH_MS);
  }
  connection = now;
  drawConnection();
  askHealthSoon();
}

function drawConnection() {
  document.body.dataset.connection = connection;
  setText($("connection"), say(connection));
  $("content").hidden = connection === "locked";
  $("key-form").hidden = connection !== "locked";
  $("forget").hidden = key === null || connection === "locked";
  $("use-key").hidden = key !== null || connection !== "live";
  const since = lastHeard ? say("lost_since", { time: clock(lastHeard) }) : say("lost_at_first");
  $("lost").hidden = connection !== "lost" && !isHealed;
  $("lost").classList.toggle("healed", connection !== "lost");
  $("retry").hidden = connection !== "lost";
  setText($("lost-text"), connection === "lost" ? since : say("healed"));
  drawTitle();
}

/** Follow the feed for ever: when it breaks off, go on from where it did. */
async function follow() {
  let failures = 0;
  for (;;) {
    try {
      await followOnce(() => (failures = 0));
    } catch (error) {
      if (error.status === 401 || error.status === 403) {
        await newKey(error);
        continue;
      }
      if (error.status === 400 && lastId) {
        lastId = ""; // of a feed that was made anew
        continue;
      }
    }
    setConnection("lost");
    await pause(Math.min(FIRST_PAUSE_MS * 2 ** failures, LONGEST_PAUSE_MS) * (0.5 + Math.random() / 2));
    failures += 1;
  }
}

/** Wait, unless something wakes us: a click, the network, the tab coming to the front. */
function pause(ms) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    wake = () => {
      clearTimeout(timer);
      resolve();
    };
  });
}

/** One connection, until it ends. Raises what ask() raises. */
async function followOnce(connected) {
  const cut = new AbortController();
  let silence = setTimeout(() => cut.abort(), ANSWER_MS);
  const heard = () => {
    lastHeard = Date.now();
    clearTimeout(silence);
    silence = setTimeout(() => cut.abort(), SILENCE_MS);
  };
  stream = cut;
  try {
    if (Date.now() - lastHeard > LONG_AWAY_MS) lastId = "";
    const response = await ask("/v1/live", { headers: lastId ? { "Last-Event-ID": lastId } : {}, signal: cut.signal });
    heard();
    if (!lastId) isRead = false;
    await readScopes();
    if (!isRead) await readLatest();
    connected();
    keepKey();
    setConnection("live");
    readWantedSoon();
    readWebhooksSoon();
    countSoon();
    if (storyId === null) onAddress();
    else readStorySoon();
    for await (const message of messages(response.body)) {
      heard();
      lastId = message.id || lastId;
      if (message.name === "lost") {
        isRead = false;
        await readLatest();
      } else if (message.data) onEvent(exactJson(message.data));
    }
  } finally {
    clearTimeout(silence);
    cut.abort();
  }
}

/** The blocks of a stream of server-sent events, those without data too. */
async function* messages(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  let message = { id: "", name: "", data: "" };
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines) {
      if (line === "") {
        yield message;
        message = { id: "", name: "", data: "" };
      } else if (line.startsWith("data: ")) message.data += line.slice(6);
      else if (line.startsWith("id: ")) message.id = line.slice(4);
      else if (line.startsWith("event: ")) message.name = line.slice(7);
    }
  }
}

// --- the key

/** What was wrong with the last key: the API's answer; null if there was none. */
let keyTrouble = null;
let keyGiven = () => {};

/** Keep a key that works for as long as the tab is open; forget one that doesn't. */
function keepKey() {
  if (key === null) storage("sessionStorage")?.removeItem(KEY);
  else storage("sessionStorage")?.setItem(KEY, key);
}

/** Ask for a key; done once there is one to try. */
async function newKey(refused) {
  keyTrouble = key === null ? null : refused;
  key = null;
  scopes = [];
  keepKey();
  lastId = "";
  isRead = false;
  counts = null;
  [...entries.values()].forEach(forget);
  forgetWebhooks();
  drawTiles();
  setConnection("locked");
  drawKeyTrouble();
  $("story").close();
  $("key").focus();
  await new Promise((resolve) => (keyGiven = resolve));
}

function drawKeyTrouble() {
  const isForbidden = keyTrouble?.status === 403;
  const text = isForbidden ? problemText(keyTrouble.problem, "key_wrong") : say("key_wrong");
  setText($("key-problem"), keyTrouble ? text : "");
}

function onKey(event) {
  event.preventDefault();
  const typed = $("key").value.trim();
  if (!typed) return;
  $("key").select();
  if (!/^[\x21-\x7e]+$/.test(typed)) {
    keyTrouble = new Refused(401, null);
    drawKeyTrouble();
    return;
  }
  key = typed;
  keyGiven();
}

/** Give up the key, if there is one, and ask for another. */
function changeKey() {
  key = null;
  keepKey();
  $("key").value = "";
  stream?.abort(new Refused(401, null));
  wake();
}

// --- a document's story

let storyId = null;
let story = null;
/** The document of the story as it now is. */
let storyDoc = null;
const readStorySoon = atMostEvery(1_000, readStory);

function openStory(id) {
  if (location.hash !== `#${id}`) history.pushState({ isStory: true }, "", `#${id}`);
  storyId = id;
  story = null;
  $("note").value = "";
  actionTrouble = null;
  drawStory();
  if (!$("story").open) $("story").showModal();
  readStory();
}

async function readStory() {
  const id = storyId;
  if (id === null) return;
  let found;
  try {
    found = { items: (await askJson(`/v1/documents/${encodeURIComponent(id)}/history`)).items, problem: null };
  } catch (error) {
    found = { items: story?.items ?? [], problem: error.problem ?? {} };
  }
  if (storyId !== id) return;
  story = found;
  drawStory();
}

/** The story is closed: its address goes too. */
function onStoryClosed() {
  storyId = null;
  story = null;
  if (connection === "locked") return; // with a key it will be opened again
  if (history.state?.isStory) history.back();
  else if (location.hash) history.replaceState(null, "", location.pathname);
}

function onAddress() {
  if (connection === "locked") return;
  const id = location.hash.slice(1);
  if (/^[0-9a-f-]{36}$/.test(id)) openStory(id);
  else $("story").close();
}

function drawStory() {
  if (storyId === null) return;
  const entry = entries.get(storyId);
  const steps = story?.items ?? [];
  const doc = steps.findLast((step) => step.document)?.document ?? entry?.doc ?? null;
  storyDoc = doc;
  drawActions();
  const kind = doc ? `${called(KINDS, doc.kind)} · ` : "";
  $("story-kind").replaceChildren(kind, bdi(doc?.source ?? entry?.source ?? ""));
  $("story-title").replaceChildren(bdi(doc?.source_id ?? entry?.sourceId ?? storyId));
  $("story-body").replaceChildren(
    ...[
      doc && summaryOf(doc),
      story === null && element("p", { class: "dim" }, say("asking")),
      story?.problem && element("p", { class: "notice" }, problemText(story.problem, "story_failed")),
      story && !story.problem && !steps.length && element("p", { class: "dim" }, say("undecided")),
      doc?.reasons?.length && reasonsOf(doc.reasons, TONES[doc.state]),
      steps.length && historyOf(steps, doc?.reasons),
      !steps.length && entry?.refusal && historyOf([entry.refusal], []),
      doc?.lines?.length && linesOf(doc),
      doc && totalsOf(doc.totals ?? {}),
      doc && particularsOf(doc),
    ].filter(Boolean),
  );
}

// --- what may be done about a document

/** By command: the scope it needs, and which documents it is for. */
const ACTIONS = {
  approve: { scope: "documents:approve", isFor: (doc) => doc.state === "held" },
  refuse: { scope: "documents:approve", isFor: (doc) => doc.state === "held" },
  release: { scope: "documents:write", isFor: waitsForRelease },
};

let isActing = false;
/** What became of the last command: what ask() raised; null if all is well. */
let actionTrouble = null;

function waitsForRelease(doc) {
  return doc.state === "cleared" && doc.posting_policy === "manual" && !doc.released;
}

function drawActions() {
  const buttons = [...$("actions").querySelectorAll("button")];
  for (const button of buttons) {
    const { scope, isFor } = ACTIONS[button.dataset.command];
    button.hidden = storyDoc === null || !may(scope) || !isFor(storyDoc);
    button.disabled = isActing;
  }
  $("actions").hidden = buttons.every((button) => button.hidden);
  setText($("action-problem"), actionTrouble ? problemText(actionTrouble.problem, "action_failed") : "");
}

/** Give a command on the document as it is shown, and show what came of it. */
async function act(command) {
  const { id, revision } = storyDoc;
  isActing = true;
  drawActions();
  try {
    await send("POST", `/v1/documents/${id}/${command}?wait=decision&timeout=5`, { note: $("note").value, revision });
    actionTrouble = null;
  } catch (error) {
    if (storyId === id) actionTrouble = error;
  }
  isActing = false;
  await readStory();
}

function summaryOf(doc) {
  const payable = doc.totals?.payable;
  return element(
    "p",
    { class: "summary" },
    badge(doc.state),
    isNothing(payable) ? null : element("strong", {}, ...money(payable)),
  );
}

function section(title, ...children) {
  return element("section", {}, element("h3", {}, say(title)), ...children);
}

function reasonsOf(reasons, tone) {
  return element("ul", { class: `why ${tone ?? "gone"}` }, ...reasonItems(reasons));
}

function reasonItems(reasons) {
  return reasons.map((each) => element("li", {}, reasonText(each)));
}

/** The steps one by one; not again the reasons that are `told` above. */
function historyOf(steps, told = []) {
  const shown = steps.map((step) => {
    const state = step.type === COMMAND_REFUSED ? "refused" : step.document.state;
    const at = Date.parse(step.recorded_at);
    const reasons = step.reasons ?? [];
    const isTold = JSON.stringify(reasons) === JSON.stringify(told);
    return element(
      "li",
      {},
      element("p", {}, element("b", {}, called(COMMANDS, step.command)), " ", badge(state)),
      element(
        "p",
        { class: "dim" },
        timeElement(at, `${days(at)[0]} ${clock(at)}`),
        " · ",
        bdi(say("by", { actor: step.actor })),
      ),
      isTold ? null : element("ul", {}, ...reasonItems(reasons)),
    );
  });
  return section("history", element("ol", { class: "history" }, ...shown));
}

const AMOUNT_COLUMNS = ["quantity", "unit_price", "discount", "tax", "payable"];

function linesOf({ lines }) {
  const heading = (text, className) => element("th", { scope: "col", class: className }, text);
  const amounts = AMOUNT_COLUMNS.map((column) => heading(say(column), "amount"));
  const table = element(
    "table",
    {},
    element("thead", {}, element("tr", {}, heading("#"), heading(say("product")), ...amounts)),
    element("tbody", {}, ...lines.slice(0, MOST_LINES).map(lineRow)),
  );
  const more = lines.length - MOST_LINES;
  return section(
    "lines",
    element("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": say("lines") }, table),
    more > 0 ? element("p", { class: "dim" }, say("more_lines", { count: number(more) })) : null,
  );
}

function lineRow(line) {
  const amount = (rials) => element("td", { class: "amount" }, isNothing(rials) ? "–" : bdi(number(rials)));
  const where = [line.attribute, line.warehouse && `${say("warehouse")} ${line.warehouse}`].filter(Boolean).join(" · ");
  const goods = [
    isZero(line.reserved) ? null : say("reserved", { quantity: decimal(line.reserved) }),
    isZero(line.short) ? null : say("short", { quantity: decimal(line.short) }),
  ].filter(Boolean);
  const tax = BigInt(line.vat ?? 0) + BigInt(line.duty ?? 0);
  return element(
    "tr",
    {},
    element("td", {}, number(line.number)),
    element("td", {}, bdi(line.product), small(where)),
    element("td", { class: "amount" }, bdi(decimal(line.quantity)), small(goods.join(" · "))),
    amount(line.unit_price),
    amount(line.discount),
    amount(tax),
    amount(line.payable),
  );
}

function small(text) {
  return text ? element("small", {}, bdi(text)) : null;
}

function isZero(quantity) {
  return quantity === undefined || Number(quantity) === 0;
}

/** Terms and descriptions; those without a description are left out, and null is all that is left of none. */
function pairs(className, terms) {
  const shown = terms.filter(([, description]) => description !== null && description !== undefined);
  if (!shown.length) return null;
  return element(
    "dl",
    { class: className },
    ...shown.map(([term, description]) =>
      element("div", {}, element("dt", {}, say(term)), element("dd", {}, ...[description].flat())),
    ),
  );
}

function totalsOf(totals) {
  const terms = ["gross", "discount", "net", "vat", "duty", "payable"];
  return pairs("totals", terms.map((term) => [term, isNothing(totals[term]) ? null : money(totals[term])]));
}

function particularsOf(doc) {
  const text = (value) => (value === undefined || value === null || value === "" ? null : bdi(value));
  const moment = (value) => value && momentOf(Date.parse(value));
  const { approval, posting } = doc;
  return section(
    "about",
    pairs("particulars", [
      ["account", text(doc.account)],
      ["date", bothDays(Date.parse(`${doc.date}T12:00:00+03:30`))],
      ["payment", called(PAYMENTS, doc.payment ?? "credit")],
      ["method", doc.method && called(PAYMENTS, doc.method)],
      ["warehouse", text(doc.warehouse)],
      ["to_warehouse", text(doc.to_warehouse)],
      ["note", text(doc.note)],
      ["received", moment(doc.received_at)],
      ["changed", moment(doc.changed_at)],
      ["expires", moment(doc.expires_at)],
      ["approval", approval && text(byWhom(approval))],
      ["released", doc.released && text(byWhom(doc.released))],
      ["posting", text(posting?.number ?? posting?.error)],
      ["revision", number(doc.revision)],
      ["id", text(doc.id)],
    ]),
  );
}

function byWhom({ by, note }) {
  return [by, note].filter(Boolean).join(" · ");
}

function momentOf(moment) {
  return timeElement(moment, bothDays(moment), " ", clock(moment));
}

function bothDays(moment) {
  const [own, other] = days(moment);
  return element("span", { class: "days" }, own, " ", element("small", {}, bdi(`(${other})`)));
}

// --- beginning

function setLanguage(to) {
  language = to;
  document.documentElement.lang = to === PERSIAN ? "fa" : "en";
  document.documentElement.dir = to === PERSIAN ? "rtl" : "ltr";
  for (const each of document.querySelectorAll("[data-words]")) each.textContent = say(each.dataset.words);
  for (const each of document.querySelectorAll("[data-words-label]")) each.ariaLabel = say(each.dataset.wordsLabel);
  for (const each of document.querySelectorAll("[data-words-placeholder]")) {
    each.placeholder = say(each.dataset.wordsPlaceholder);
  }
  $("language").textContent = say("other_language");
  $("language").lang = to === PERSIAN ? "en" : "fa";
  for (const entry of entries.values()) entry.isStale = true;
  drawConnection();
  drawHealth();
  drawTiles();
  drawKeyTrouble();
  drawWebhooks();
  drawStory();
  draw();
}

function switchLanguage() {
  setLanguage(language === PERSIAN ? ENGLISH : PERSIAN);
  try {
    storage("localStorage")?.setItem(LANGUAGE, document.documentElement.lang);
  } catch {
    // chosen for this visit only
  }
}

function onRowClick(event) {
  const row = event.target.closest("tr");
  if (row && !window.getSelection().toString()) openStory(row.dataset.id);
}

/** The arrow keys go from row to row. */
function onRowKey(event) {
  const row = event.target.closest("tr");
  const to = { ArrowDown: row?.nextElementSibling, ArrowUp: row?.previousElementSibling }[event.key];
  if (!to) return;
  event.preventDefault();
  to.querySelector(".open").focus();
}

function showWhatWaits() {
  window.scrollTo(0, 0);
  draw();
}

function begin() {
  buildTiles();
  setLanguage(language);
  $("language").addEventListener("click", switchLanguage);
  $("search").addEventListener("input", () => {
    wantedText = plain($("search").value);
    draw();
    readWantedSoon();
  });
  $("pause").addEventListener("click", () => {
    isPaused = !isPaused;
    $("pause").ariaPressed = String(isPaused);
    draw();
  });
  $("waiting").addEventListener("click", showWhatWaits);
  $("rows").addEventListener("click", onRowClick);
  $("rows").addEventListener("keydown", onRowKey);
  $("key-form").addEventListener("submit", onKey);
  $("use-key").addEventListener("click", changeKey);
  $("forget").addEventListener("click", changeKey);
  $("actions").addEventListener("submit", (event) => event.preventDefault());
  $("actions").addEventListener("click", ({ target }) => target.dataset.command && act(target.dataset.command));
  $("retry").addEventListener("click", () => wake());
  $("story-close").addEventListener("click", () => $("story").close());
  $("story").addEventListener("click", (event) => event.target === $("story") && $("story").close());
  $("story").addEventListener("close", onStoryClosed);
  window.addEventListener("popstate", onAddress);
  window.addEventListener("online", () => wake());
  window.addEventListener("scroll", () => $("waiting").hidden || drawSoon(), { passive: true });
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) return;
    wake();
    askHealthSoon();
  });
  setInterval(() => document.hidden || askHealthSoon(), HEALTH_MS);
  setInterval(() => document.hidden || readWebhooksSoon(), WEBHOOKS_MS);
  askHealthSoon();
  follow();
}

begin();
