// The theme link works by itself (?theme=); with script it answers without loading the page again.
const order = ["auto", "light", "dark"];

for (const link of document.querySelectorAll("a[data-theme-switch]")) {
  link.addEventListener("click", (event) => {
    if (event.metaKey || event.ctrlKey || event.shiftKey) return;
    event.preventDefault();
    const root = document.documentElement;
    const theme = order[(order.indexOf(root.dataset.theme) + 1) % order.length];
    root.dataset.theme = theme;
    const secure = location.protocol === "https:" ? "; Secure" : "";
    document.cookie = `banyan_theme=${theme}; Path=/; Max-Age=31536000; SameSite=Lax${secure}`;
    const said = link.querySelector("[data-theme-name]");
    if (said) said.textContent = link.dataset[`name${theme[0].toUpperCase()}${theme.slice(1)}`];
  });
}
