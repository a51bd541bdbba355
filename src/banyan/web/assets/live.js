// Keeps the number of learners on an open course page true, without reloading.
//
// The page says where, and how the number reads in its language; without this module it shows what it was served:
//
//   <span data-live-course="SLUG" data-live-count="12"
//         data-live-one="{} learner" data-live-other="{} learners">12 learners</span>
//   <script type="module" src="{{ asset('live.js') }}"></script>
//
// While the number has just risen the element also has `data-live-rose`, for a short emphasis in CSS. Leave out
// `data-live-one` and `-other`, and only the number is put in. Any number of elements may name the same course.
const FIRST_PAUSE = 2000;
const LONGEST_PAUSE = 60000;
const EMPHASIS = 1200;

const language = document.documentElement.lang || "en";
const number = new Intl.NumberFormat(language);
const plural = new Intl.PluralRules(language);

function show(element, count) {
  // The page may have been made after the last enrolment that the stream knows of; it never counts backwards.
  if (!(count > Number(element.dataset.liveCount ?? -1))) return;
  element.dataset.liveCount = count;
  const text = (plural.select(count) === "one" && element.dataset.liveOne) || element.dataset.liveOther || "{}";
  element.textContent = text.replace("{}", number.format(count));
  element.dataset.liveRose = "";
  setTimeout(() => delete element.dataset.liveRose, EMPHASIS);
}

function follow(slug, elements) {
  let source = null;
  let last = "";
  let pause = FIRST_PAUSE;
  let waiting = 0;

  function open() {
    clearTimeout(waiting);
    // A hidden page holds no connection: a browser has six of them for all pages of a site.
    if (source || document.hidden) return;
    const from = last && `?last-event-id=${last}`;
    source = new EventSource(`/_banyan/api/v1/courses/${encodeURIComponent(slug)}/live${from}`);
    source.addEventListener("learners", (event) => {
      pause = FIRST_PAUSE;
      last = event.lastEventId;
      const { count } = JSON.parse(event.data);
      for (const element of elements) show(element, count);
    });
    source.addEventListener("error", () => {
      // Where a stream breaks, browsers come again by themselves; where an answer refused it, they give up.
      if (source?.readyState !== EventSource.CLOSED) return;
      close();
      waiting = setTimeout(open, pause * (1 + Math.random()));
      pause = Math.min(2 * pause, LONGEST_PAUSE);
    });
  }

  function close() {
    clearTimeout(waiting);
    source?.close();
    source = null;
  }

  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  addEventListener("pagehide", close);
  addEventListener("pageshow", open);
  open();
}

const courses = new Map();
for (const element of document.querySelectorAll("[data-live-course]")) {
  const slug = element.dataset.liveCourse;
  courses.set(slug, [...(courses.get(slug) ?? []), element]);
}
for (const [slug, elements] of courses) follow(slug, elements);
