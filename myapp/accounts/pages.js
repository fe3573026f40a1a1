// Sends the forms of the pages of accounts as JSON. A form states data-method and
// data-url, where it goes; data-token, that the token in the address of this page, after
// #, is sent along; data-next, the page that comes then; data-done, a text to show, with
// the members of the answer that data-show names below it.
const token = location.hash.slice(1);
// A token does not stay in the address, where others may see it.
if (token) history.replaceState(null, "", location.pathname);

function bodyOf(form) {
  const body = "token" in form.dataset ? { token } : {};
  for (const field of form.elements) {
    if (!field.name) continue;
    if (field.type === "checkbox") body[field.name] = field.checked;
    else if (field.value) body[field.name] = field.value;
  }
  return body;
}

function told(problem) {
  const errors = (problem.errors || []).map((one) => {
    const field = (one.pointer || "").slice(1).replaceAll("_", " ");
    return `${field} ${one.detail}`.trim();
  });
  return [problem.detail, ...errors].join("\n");
}

// Fields that are asked for once the server names them, such as a code.
function showMore(form, problem) {
  for (const error of problem.errors || []) {
    for (const part of form.querySelectorAll("[data-when]")) {
      if (part.dataset.when === error.pointer) part.hidden = false;
    }
  }
}

async function submit(event) {
  event.preventDefault();
  const form = event.target;
  const out = form.querySelector("output");
  const button = form.querySelector("button");
  const method = form.dataset.method || "POST";
  const options = { method };
  if (method !== "DELETE") {
    options.headers = { "Content-Type": "application/json" };
    options.body = JSON.stringify(bodyOf(form));
  }
  button.disabled = true;
  out.textContent = "";
  try {
    const response = await fetch(form.dataset.url, options);
    const text = await response.text();
    const body = text ? JSON.parse(text) : {};
    out.className = response.ok ? "done" : "failed";
    if (!response.ok) {
      out.textContent = told(body);
      showMore(form, body);
    } else if (form.dataset.next) {
      location.assign(form.dataset.next);
    } else {
      const names = (form.dataset.show || "").split(" ");
      out.textContent = [form.dataset.done, ...names.flatMap((name) => body[name] || [])].join("\n");
      form.reset();
    }
  } catch {
    out.className = "failed";
    out.textContent = "The server cannot be reached. Try again.";
  }
  button.disabled = false;
}

for (const form of document.querySelectorAll("form")) form.addEventListener("submit", submit);
