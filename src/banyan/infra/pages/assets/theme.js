// The theme link works by itself (?theme=); with script it answers without loading the page again.
const order = ["auto", "light", "dark"];
const root = document.documentElement;
const links = document.querySelectorAll("a[data-theme-switch]");

function show(theme) {
  root.dataset.theme = theme;
  for (const link of links) {
    const said = link.querySelector("[data-theme-name]");
    if (said) said.textContent = link.dataset[`name${theme[0].toUpperCase()}${theme.slice(1)}`];
  }
}

for (const link of links) {
  link.addEventListener("click", (event) => {
    if (event.metaKey || event.ctrlKey || event.shiftKey) return;
    event.preventDefault();
    const theme = order[(order.indexOf(root.dataset.theme) + 1) % order.length];
    const secure = location.protocol === "https:" ? "; Secure" : "";
    document.cookie = `banyan_theme=${theme}; Path=/; Max-Age=31536000; SameSite=Lax${secure}`;
    show(theme);
  });
}

// A page that the browser kept for its back button still wears what was chosen before.
window.addEventListener("pageshow", (event) => {
  const kept = document.cookie.match(/(?:^|; )banyan_theme=(auto|light|dark)/);
  if (event.persisted && kept) show(kept[1]);
});
