// Fetches the page's parts and puts in place only those that changed, so that nothing moves without a reason.
const main = document.querySelector("main[data-now]");
const EVERY = 2000;
const PATIENCE = 5000;

// Signed out meanwhile: the page itself knows where to sign in.
function checkIn(answer) {
  if (answer.status === 401 || answer.status === 403) location.reload();
}

async function look() {
  const answer = await fetch(main.dataset.now, { cache: "no-store", signal: AbortSignal.timeout(PATIENCE) });
  checkIn(answer);
  if (!answer.ok) throw new Error(String(answer.status));
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const part of fresh.querySelectorAll("[data-part]")) place(part);
}

function place(fresh) {
  const shown = document.getElementById(fresh.id);
  for (const folded of shown.querySelectorAll("details[open]")) {
    fresh.querySelector(`#${folded.id}`)?.setAttribute("open", "");
  }
  if (shown.isEqualNode(fresh)) return;
  if (shown.contains(document.getSelection()?.anchorNode) && !document.getSelection().isCollapsed) return;
  const focused = shown.contains(document.activeElement) ? document.activeElement : null;
  const again = focused?.id || focused?.closest("[id]")?.id;
  // The part itself stays, so that a screen reader that listens to it hears of the change.
  shown.className = fresh.className;
  shown.replaceChildren(...document.adoptNode(fresh).childNodes);
  if (again) {
    const target = document.getElementById(again);
    (target?.tagName === "DETAILS" ? target.querySelector("summary") : target)?.focus({ preventScroll: true });
  }
}

// A button works by itself; with script the page stays where it is.
document.addEventListener("submit", async (event) => {
  const { target: form, submitter: button } = event;
  event.preventDefault();
  if (button.ariaDisabled) return;
  const body = new URLSearchParams(new FormData(form, button));
  button.ariaDisabled = "true"; // not `disabled`, which would lose the focus
  try {
    const answer = await fetch(form.action, { method: "POST", body, signal: AbortSignal.timeout(30000) });
    checkIn(answer);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const refused = page.getElementById("refused");
    if (!refused) throw new Error(String(answer.status));
    document.getElementById("refused").replaceWith(document.adoptNode(refused));
    for (const part of page.querySelectorAll("[data-part]")) place(part);
  } catch {
    showCutOff(true);
  } finally {
    button.ariaDisabled = null;
  }
});

function showCutOff(cutOff) {
  document.body.classList.toggle("cut-off", cutOff);
  document.getElementById("cut-off").hidden = !cutOff;
}

async function keepLooking() {
  if (!document.hidden) {
    await look().then(() => showCutOff(false), () => showCutOff(true));
  }
  setTimeout(keepLooking, EVERY);
}

if (main) setTimeout(keepLooking, EVERY);
