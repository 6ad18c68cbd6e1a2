// Keeps a page current: what comes is put in, and what is old says so by itself.
// Everything that is shown comes as HTML from this board, where it is escaped.

const SILENT = 5000; // ms without a sign from the board, after which nothing is known
const POLLS = 3; // of a widget that may fail
const AT_MOST = 1000; // ms between two readings of the page
// ms until a symbol is read again though nobody said that it changed: its record may have
// gone to another one, or have been removed by hand.
const AGAIN = 15000;
const ROWS = 50; // in the list
const SAY = 10000; // ms between what a screen reader is told of what comes

const body = document.body;
const poll = 1000 * Number(body.dataset.poll || 0);
const byId = (id) => document.getElementById(id);

let heard = Date.now();
let isSilent = false;
let source = null;
let serial = body.dataset.serial;
let reading = false;
let again = false;
let missed = false; // it could not be read
let lastRead = 0; // by a clock that nobody sets
let opened = 0;
let paused = false;
let held = []; // rows, while the list is paused or the page is being read
let said = "";
let came = 0;
let saidAt = 0;

// ---- pieces

function put(id, html) {
  const place = byId(id);
  if (!place || place.sent === html) return;
  place.sent = html;
  replace(place, html);
}

function replace(place, html) {
  const focused = place.contains(document.activeElement) && document.activeElement;
  const where = focused && (focused.id || focused.getAttribute("href"));
  place.innerHTML = html;
  if (!where) return;
  const same = focused.id ? byId(where) : place.querySelector(`[href="${CSS.escape(where)}"]`);
  if (same) same.focus({ preventScroll: true });
}

function rows(html) {
  if (paused || reading) {
    held.unshift(html);
    held.length = Math.min(held.length, 4 * ROWS);
    if (paused) count(html);
    return;
  }
  const list = byId("rows");
  if (!list) return;
  const made = document.createElement("template");
  made.innerHTML = html;
  const fresh = [...made.content.querySelectorAll("tr")].filter((row) => !byId(row.id));
  for (const row of fresh) row.classList.add("came");
  list.prepend(...fresh);
  while (list.rows.length > ROWS) list.lastElementChild.remove();
  list.closest("table").hidden = !list.rows.length;
  byId("empty").hidden = Boolean(list.rows.length);
  came += fresh.length;
  tellOfRows();
}

function release() {
  const waiting = held.reverse();
  held = [];
  waiting.forEach(rows);
}

function tellOfRows() {
  if (!came || Date.now() - saidAt < SAY) return;
  saidAt = Date.now();
  say(`${came} new`);
  came = 0;
}

function say(words) {
  const place = byId("said");
  if (place) place.textContent = words;
}

// ---- the button that holds the list still

const pause = byId("pause");
let waiting = 0;

function count(html) {
  waiting += html.split("<tr").length - 1;
  pause.textContent = `Go on (${waiting > ROWS ? `${ROWS}+` : waiting} new)`;
}

if (pause) {
  pause.hidden = false;
  pause.addEventListener("click", () => {
    paused = !paused;
    waiting = 0;
    pause.setAttribute("aria-pressed", String(paused));
    pause.textContent = paused ? "Go on" : "Pause";
    if (!paused) release();
  });
}

// ---- how fresh it is

function hear() {
  heard = Date.now();
  if (isSilent) {
    isSilent = false;
    byId("silent").hidden = true;
    body.classList.remove("is-silent");
    read(); // whatever came meanwhile
  }
}

function look() {
  const limit = poll ? POLLS * poll : SILENT;
  const isPast = (at) => Math.abs(Date.now() - at) > limit; // a clock may be set back
  if (!isPast(heard)) return;
  beSilent();
  if (isPast(opened)) close(); // it may be half open, of which nobody is told
}

// What was fresh when it was asked is not known to be so any more.
function beSilent() {
  for (const each of document.querySelectorAll(".state.fresh")) {
    each.className = "state unknown";
    each.textContent = "○ not known";
  }
  for (const each of document.querySelectorAll("#strip, #cards, #sheet")) delete each.sent;
  if (isSilent) return;
  isSilent = true;
  body.classList.add("is-silent");
  const at = new Date(heard).toLocaleTimeString([], { hour12: false, timeZoneName: "short" });
  const words = `No sign of the board since ${at}: what you see is as of then. It is asked again.`;
  byId("silent").textContent = words;
  byId("silent").hidden = false;
  say(words);
}

function sayState() {
  const states = [...document.querySelectorAll("#strip [data-state]")];
  const away = document.querySelector("#strip [data-trouble]");
  const words = away
    ? "Redis is away"
    : states.map((each) => `${each.dataset.state} ${each.lastChild.textContent.trim()}`).join(", ");
  if (words === said) return;
  if (said) say(words);
  said = words;
}

// ---- the page, read again

async function read() {
  if (reading) {
    again = true;
    return;
  }
  reading = true;
  try {
    do {
      again = false;
      const wait = lastRead + AT_MOST - performance.now();
      if (wait > 0) await new Promise((done) => setTimeout(done, wait));
      lastRead = performance.now();
      await readOnce();
    } while (again);
  } finally {
    reading = false;
  }
  if (!paused) release();
}

async function readOnce() {
  let text;
  missed = true;
  try {
    const answer = await fetch(location.href, {
      cache: "no-store",
      signal: AbortSignal.timeout(10000),
    });
    text = await answer.text();
  } catch {
    return; // it is read again as soon as there is a sign of the board
  }
  const found = new DOMParser().parseFromString(text, "text/html");
  const page = found.getElementById("page");
  if (!page) return;
  missed = false;
  if (poll) hear();
  serial = found.body.dataset.serial || serial;
  const parts = [...page.querySelectorAll("[data-part]")];
  const ours = [...document.querySelectorAll("#page [data-part]")];
  const ids = (some) => some.map((each) => each.id).join();
  if (parts.length && ids(parts) === ids(ours)) {
    for (const part of parts) {
      if (part.id === "list" && paused) continue;
      if (part.innerHTML !== byId(part.id).innerHTML) replace(byId(part.id), part.innerHTML);
    }
  } else if (ids(parts) !== ids(ours) || page.innerHTML !== byId("page").innerHTML) {
    if (found.getElementById("rows")) return location.reload(); // it has controls of its own
    replace(byId("page"), page.innerHTML);
  }
  document.title = found.title;
  const strip = found.getElementById("strip");
  if (strip) put("strip", strip.innerHTML);
  follow(found.body.dataset.events || "");
}

// ---- what the board says

// A browser has six connections to a server: a page that nobody sees needs none.
function open() {
  if (source || poll || document.hidden || !body.dataset.events) return;
  source = new EventSource(body.dataset.events);
  opened = Date.now();
  const on = (name, what) =>
    source.addEventListener(name, (event) => {
      hear();
      what(event.data);
    });
  on("hello", (data) => {
    if (data !== serial) read();
  });
  on("strip", (data) => {
    put("strip", data);
    sayState();
    if (isToBeRead()) read();
  });
  on("cards", (data) => put("cards", data));
  on("moved", (data) => put("moved", data));
  on("rows", rows);
  on("changed", read);
  on("reload", () => {
    close();
    open();
    read();
  });
  // What ends for good, as where too many pages are open, is tried again.
  source.addEventListener("error", () => {
    if (source && source.readyState === EventSource.CLOSED) close();
  });
}

function isToBeRead() {
  if (document.querySelector("#strip [data-trouble]")) return false; // told when it is over
  const events = body.dataset.events;
  const isOfSymbols = events.includes("symbols=") && document.querySelector("#page [data-part]");
  const isOld = performance.now() - lastRead > AGAIN;
  return missed || events.endsWith("page=away") || Boolean(isOfSymbols && isOld);
}

// Another page may have come in the place of this one, which wants to be told of others.
function follow(events) {
  if (body.dataset.events === events) return;
  body.dataset.events = events;
  close();
  open();
}

function close() {
  if (source) source.close();
  source = null;
}

function seen() {
  if (document.hidden) {
    close();
    return;
  }
  look();
  if (poll) read();
  open();
}

sayState();
setInterval(() => {
  look();
  tellOfRows();
  open();
}, 1000);
document.addEventListener("visibilitychange", seen);
// Out of the browser's memory it is as old as it was.
window.addEventListener("pageshow", (event) => {
  if (event.persisted) {
    heard = 0;
    look();
    read();
  }
});
if (poll) setInterval(() => document.hidden || read(), poll);
seen();
