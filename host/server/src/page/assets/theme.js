// Dark, light, or as the system says. Not a module, so that it runs before the
// first paint.
"use strict";

(() => {
  const choices = ["auto", "light", "dark"];
  let choice = "auto";
  try {
    choice = localStorage.getItem("samara-theme") ?? "auto";
  } catch {
    // Storage may be forbidden; then the choice lasts as long as the page.
  }

  function show() {
    if (!choices.includes(choice)) choice = "auto";
    if (choice === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = choice;
    const button = document.getElementById("theme");
    if (button) button.textContent = `Theme: ${choice}`;
  }

  function next() {
    choice = choices[(choices.indexOf(choice) + 1) % choices.length];
    try {
      localStorage.setItem("samara-theme", choice);
    } catch {
      // As above.
    }
    show();
    document.dispatchEvent(new Event("themechange"));
  }

  show();
  document.addEventListener("DOMContentLoaded", () => {
    show();
    document.getElementById("theme").addEventListener("click", next);
  });
})();
