// First in <head>: the theme is set before anything is drawn, so that nothing flashes.
(function () {
  "use strict";
  var root = document.documentElement;
  var dark = window.matchMedia("(prefers-color-scheme: dark)");
  function kept() {
    try { return window.localStorage.getItem("a365-theme"); } catch (error) { return null; }
  }
  function apply() {
    root.setAttribute("data-bs-theme", kept() || (dark.matches ? "dark" : "light"));
  }
  window.a365Theme = {
    toggle: function () {
      var next = root.getAttribute("data-bs-theme") === "dark" ? "light" : "dark";
      try { window.localStorage.setItem("a365-theme", next); } catch (error) { /* private mode: for this page only */ }
      root.setAttribute("data-bs-theme", next);
    },
  };
  dark.addEventListener("change", apply);
  // Paper is white, whatever the screen is.
  window.addEventListener("beforeprint", function () { root.setAttribute("data-bs-theme", "light"); });
  window.addEventListener("afterprint", apply);
  apply();
})();
