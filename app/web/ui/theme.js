// Before the first paint: the theme that was chosen on this machine. `auto` follows the system.
(() => {
  try {
    document.documentElement.dataset.theme = localStorage.getItem("sluice-theme") || "auto";
  } catch {
    document.documentElement.dataset.theme = "auto"; // storage may be forbidden
  }
})();
