// Keys: `/` and Ctrl-K to the search box, j and k through a list, Enter opens, g and a letter goes to a page, `?` helps.

const base = document.documentElement.dataset.base;
const pages = { o: "/", p: "/problem", l: "/live", s: "/search", a: "/app", t: "/task" };
let began = 0;

const isWriting = (place) => place instanceof HTMLElement && (place.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(place.tagName));

/** What j and k walk through: the rows of the page's lists that lead somewhere. */
const rows = () => [...document.querySelectorAll(".list tbody tr, ol.list > li, article.card")].filter((row) => row.querySelector("a"));

function walk(step) {
  const all = rows();
  if (!all.length) return;
  const at = all.findIndex((row) => row.classList.contains("marked"));
  const next = all[Math.min(all.length - 1, Math.max(0, at + step))] ?? all[0];
  all[at]?.classList.remove("marked");
  next.classList.add("marked");
  next.querySelector("a").focus();
  next.scrollIntoView({ block: "nearest" });
}

document.addEventListener("keydown", (event) => {
  const find = document.getElementById("find");
  if ((event.ctrlKey || event.metaKey) && event.key === "k" && find) {
    event.preventDefault();
    find.focus();
    find.select();
    return;
  }
  if (event.key === "Escape" && isWriting(event.target)) {
    event.target.blur();
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey || isWriting(event.target)) return;
  if (began && event.timeStamp - began < 1000 && pages[event.key]) {
    began = 0;
    location.assign((base + pages[event.key]).replace(/(.)\/$/, "$1"));
    return;
  }
  began = event.key === "g" ? event.timeStamp : 0;
  if (event.key === "/" && find) {
    event.preventDefault();
    find.focus();
    find.select();
  } else if (event.key === "j") {
    walk(1);
  } else if (event.key === "k") {
    walk(-1);
  } else if (event.key === "?") {
    location.assign(`${base}/help`);
  }
});
