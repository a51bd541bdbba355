// A click on a filter shows its courses at once. By keyboard, and on the sheet, the button does it: arrow keys walk
// through the choices there, and each step must not load a page.
const form = document.getElementById("filters");
let clicked = false;

form.addEventListener("pointerdown", () => { clicked = true; });
form.addEventListener("keydown", () => { clicked = false; });
form.addEventListener("change", () => {
  if (clicked && !form.matches(":popover-open")) form.requestSubmit();
});
// Questions left open stay out of the address.
form.addEventListener("formdata", (event) => {
  for (const [name, value] of [...event.formData]) if (value === "") event.formData.delete(name);
});
