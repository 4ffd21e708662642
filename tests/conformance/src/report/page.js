"use strict";
const filter = document.getElementById("filter");
const cases = [...document.querySelectorAll("tr[data-verdict]")];
const topics = [...document.querySelectorAll("section.topic")];

function show() {
  const words = filter.elements.text.value.toLowerCase().split(/\s+/);
  const verdict = filter.elements.verdict.value;
  for (const row of cases) {
    const text = row.textContent.toLowerCase();
    row.hidden = (verdict && row.dataset.verdict !== verdict) || !words.every((word) => text.includes(word));
  }
  for (const topic of topics) {
    topic.hidden = !topic.querySelector("tr[data-verdict]:not([hidden])");
  }
  const shown = cases.filter((row) => !row.hidden).length;
  filter.elements.count.value = `${shown} of ${cases.length} cases`;
}

// A link to a case that is filtered out still shows it.
function follow() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target && target.closest("[hidden]")) {
    filter.reset();
    show();
    target.scrollIntoView();
  }
}

filter.hidden = false;
filter.addEventListener("input", show);
filter.addEventListener("submit", (event) => event.preventDefault());
window.addEventListener("hashchange", follow);
show();
