// The learning room: go on where one was, tell the server what was watched, show what it answers, next lesson by key.
// What was watched is told again in whole until it is known to be saved: the server unites it, so nothing counts twice.
const room = document.querySelector("[data-room]");
const player = document.querySelector("[data-player]");
const said = document.querySelector("[data-lesson-said]");
const trouble = document.querySelector("[data-trouble]");
const words = room.dataset;

const BEAT = 10_000;
const MOST_RANGES = 100;
const address = `/_banyan/api/v1/lessons/${words.lesson}/progress`;
// A device's clock may be wrong by years; the server told its own when it made the page.
const ahead = Date.now() - Date.parse(words.now);
const now = () => new Date(Date.now() - ahead).toISOString();

let resumed = false;
let told = "";
let asking = false;

function watched() {
  const ranges = [];
  for (let at = 0; at < player.played.length; at += 1) {
    const [from, to] = [player.played.start(at), player.played.end(at)];
    if (to > from) ranges.push([Math.round(from * 10) / 10, Math.round(to * 10) / 10]);
  }
  return ranges.slice(-MOST_RANGES);
}

function show(standing) {
  const { lesson } = standing;
  const state = document.querySelector("[data-lesson-state]");
  state.classList.toggle("completed", lesson.completed);
  said.textContent = lesson.completed ? (standing.course_completed ? words.saidCourseDone : words.saidDone) : words.saidPercent.replace("{}", lesson.percent);
  document.querySelector("[data-course-percent]").textContent = standing.course_percent;
  document.querySelector("[data-course-bar]").value = standing.course_percent;
  const place = document.querySelector("[data-place-state]");
  place?.classList.toggle("completed", lesson.completed);
  place?.classList.toggle("begun", !lesson.completed && lesson.percent > 0);
}

async function tell({ last = false } = {}) {
  const beat = { position_seconds: Math.round(player.currentTime * 10) / 10, watched: watched() };
  const text = JSON.stringify(beat);
  if (text === told || (asking && !last) || beat.watched.length === 0) return;
  asking = true;
  try {
    const answer = await fetch(address, {
      method: "PUT",
      headers: { "content-type": "application/json", accept: "application/json" },
      body: JSON.stringify({ ...beat, sent_at: now() }),
      keepalive: true,
    });
    if (answer.ok) {
      told = text;
      trouble.textContent = "";
      show(await answer.json());
    } else {
      trouble.textContent = answer.status === 401 || answer.status === 403 ? words.saidOut : words.saidWaiting;
    }
  } catch {
    trouble.textContent = words.saidWaiting;
  } finally {
    asking = false;
  }
}

function resume() {
  if (resumed) return;
  resumed = true;
  const position = Number(words.position);
  // At the very end one begins anew.
  if (position > 1 && position < player.duration - 3) player.currentTime = position;
}

if (player) {
  if (player.readyState >= 1) resume();
  player.addEventListener("loadedmetadata", resume);
  if (words.enrolled === "yes") {
    setInterval(() => { if (!player.paused) tell(); else if (trouble.textContent) tell(); }, BEAT);
    player.addEventListener("pause", () => tell());
    player.addEventListener("seeked", () => { if (!player.paused) tell(); });
    player.addEventListener("ended", () => tell());
    document.addEventListener("visibilitychange", () => { if (document.visibilityState === "hidden") tell({ last: true }); });
    window.addEventListener("pagehide", () => tell({ last: true }));
    window.addEventListener("online", () => tell());
  }
}

document.addEventListener("keydown", (event) => {
  if (event.metaKey || event.ctrlKey || event.altKey || event.defaultPrevented) return;
  if (event.target.closest("input, textarea, select, [contenteditable]")) return;
  const link = { n: "[data-next]", p: "[data-previous]" }[event.key];
  if (link) document.querySelector(link)?.click();
  if (event.key === " " && player && !event.target.closest("button, a, summary, video")) {
    event.preventDefault();
    if (player.paused) player.play(); else player.pause();
  }
});
