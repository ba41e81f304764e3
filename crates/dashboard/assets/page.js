// Small things that a page is better with: copying, and looking again while something runs.

for (const text of document.querySelectorAll("[data-copy]")) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "copy";
  button.textContent = "Copy";
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text.textContent);
      button.textContent = "Copied";
    } catch {
      // Without leave to write, the text is marked, so that a key copies it.
      getSelection().selectAllChildren(text);
      button.textContent = "Marked";
    }
  });
  const pre = text.closest("pre");
  if (pre) pre.before(button);
  else text.after(button);
}

const again = document.querySelector("[data-again]");
if (again) setTimeout(() => location.reload(), Number(again.dataset.again));
