// Fetches the page's parts and puts in place only those that changed, so that nothing moves without a reason.
const main = document.querySelector("main[data-now]");
const EVERY = 2000;
const PATIENCE = 5000;

async function look() {
  const answer = await fetch(main.dataset.now, { cache: "no-store", signal: AbortSignal.timeout(PATIENCE) });
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

async function keepLooking() {
  if (!document.hidden) {
    let cutOff = false;
    try {
      await look();
    } catch {
      cutOff = true;
    }
    document.body.classList.toggle("cut-off", cutOff);
    document.getElementById("cut-off").hidden = !cutOff;
  }
  setTimeout(keepLooking, EVERY);
}

if (main) setTimeout(keepLooking, EVERY);
