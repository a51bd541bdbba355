// Puts in place the page's parts that changed, so that nothing moves without a reason: as a stream of events where
// that works, and by asking every two seconds where it does not.
const main = document.querySelector("main[data-page]");
const home = main?.dataset.home;
const page = main?.dataset.page;
const EVERY = 2000;
const PATIENCE = 5000;
const SILENCE = 6000; // a stream says something every second
let source = null;
let heard = 0;
let paused = false;

// Signed out meanwhile: the page itself knows where to sign in.
function checkIn(answer) {
  if (answer.status === 401 || answer.status === 403) location.reload();
}

function query() {
  const asked = new URLSearchParams(location.search);
  asked.set("page", page);
  return asked;
}

async function look() {
  const answer = await fetch(`${home}/now?${query()}`, { cache: "no-store", signal: AbortSignal.timeout(PATIENCE) });
  checkIn(answer);
  if (!answer.ok) throw new Error(String(answer.status));
  take(await answer.text());
}

function take(html) {
  const fresh = new DOMParser().parseFromString(html, "text/html");
  for (const part of fresh.querySelectorAll("[data-part]")) place(part);
}

function place(fresh) {
  const shown = document.getElementById(fresh.id);
  if (!shown) return;
  for (const folded of shown.querySelectorAll("details[open]")) {
    fresh.querySelector(`#${CSS.escape(folded.id)}`)?.setAttribute("open", "");
  }
  if (shown.isEqualNode(fresh)) return;
  const selection = document.getSelection();
  if (!selection.isCollapsed && shown.contains(selection.anchorNode)) return;
  const focused = shown.contains(document.activeElement) ? document.activeElement : null;
  const again = focused?.id || focused?.closest("[id]")?.id;
  const frame = shown.querySelector(".picture-frame");
  const left = frame?.scrollLeft ?? 0;
  // The part itself stays, so that a screen reader that listens to it hears of the change.
  shown.className = fresh.className;
  shown.hidden = fresh.hidden;
  shown.replaceChildren(...document.adoptNode(fresh).childNodes);
  if (left) shown.querySelector(".picture-frame").scrollLeft = left;
  if (again) {
    const target = document.getElementById(again);
    (target?.tagName === "DETAILS" ? target.querySelector("summary") : target)?.focus({ preventScroll: true });
  }
}

// A button works by itself; with script the page stays where it is.
document.addEventListener("submit", async (event) => {
  const { target: form, submitter: button } = event;
  if (form.method !== "post") return;
  event.preventDefault();
  if (button?.ariaDisabled) return;
  if (form.dataset.confirm && !(await confirmed(form))) return;
  if (form.dataset.leaves !== undefined) return leave(form);
  const body = new URLSearchParams(new FormData(form, button));
  if (form.dataset.confirm) body.set("sure", "yes");
  button.ariaDisabled = "true"; // not `disabled`, which would lose the focus
  try {
    const answer = await fetch(form.action, { method: "POST", body, signal: AbortSignal.timeout(30000) });
    checkIn(answer);
    const shown = new DOMParser().parseFromString(await answer.text(), "text/html");
    const refused = shown.getElementById("refused");
    if (!refused) throw new Error(String(answer.status));
    document.getElementById("refused").replaceWith(document.adoptNode(refused));
    for (const part of shown.querySelectorAll("[data-part]")) if (part.id !== "tabs") place(part);
  } catch {
    showCutOff(true);
  } finally {
    button.ariaDisabled = null;
  }
});

// The answer is another page than this one.
function leave(form) {
  if (form.dataset.confirm) {
    const sure = Object.assign(document.createElement("input"), { type: "hidden", name: "sure", value: "yes" });
    form.append(sure);
  }
  form.submit();
}

function confirmed(form) {
  const dialog = document.getElementById(form.dataset.confirm);
  dialog.querySelector("[data-name]").textContent = form.dataset.name;
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}

function showCutOff(cutOff) {
  document.body.classList.toggle("cut-off", cutOff);
  document.getElementById("cut-off").hidden = !cutOff;
}

function watch() {
  source?.close();
  source = new EventSource(`${home}/stream?${query()}`);
  heard = Date.now();
  source.addEventListener("part", (event) => {
    heard = Date.now();
    showCutOff(false);
    take(event.data);
  });
}

function stop() {
  source?.close();
  source = null;
}

// A page that nobody sees watches nothing; one whose stream is silent or refused asks, and tries the stream again.
async function keepLooking() {
  if (document.hidden || paused) {
    stop();
  } else if (!source || source.readyState === EventSource.CLOSED || Date.now() - heard > SILENCE) {
    await look().then(() => {
      showCutOff(false);
      watch();
    }, () => showCutOff(true));
  }
  setTimeout(keepLooking, EVERY);
}

const follow = document.querySelector("[data-follow]");
if (follow) {
  follow.closest("[hidden]").hidden = false;
  follow.addEventListener("change", () => { paused = !follow.checked; });
}
if (page && !new URLSearchParams(location.search).has("after")) {
  watch();
  setTimeout(keepLooking, EVERY);
}
document.addEventListener("visibilitychange", () => {
  if (page && !document.hidden && !source && !paused) watch();
});
