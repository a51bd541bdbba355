// The menu of one's name opens and closes by itself; with script it also closes for a click elsewhere and for Escape.
const menu = document.querySelector("details.who");

document.addEventListener("click", (event) => {
  if (menu?.open && !menu.contains(event.target)) menu.open = false;
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || !menu?.open) return;
  menu.open = false;
  menu.querySelector("summary").focus();
});
