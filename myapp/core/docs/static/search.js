// Shows the routes of the index in which each word of the search occurs.
const field = document.getElementById("search");
const rows = [...document.querySelectorAll("tr[data-route]")];
const sections = [...document.querySelectorAll("section[data-feature]")];

function show() {
  const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const row of rows) {
    const text = row.textContent.toLowerCase();
    row.hidden = !words.every((word) => text.includes(word));
  }
  for (const section of sections) {
    section.hidden = words.length > 0 && !section.querySelector("tr[data-route]:not([hidden])");
  }
}

field.addEventListener("input", show);
show();
