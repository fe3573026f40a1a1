// Starts Swagger UI. The page carries no inline script, so that its policy can be strict.
// Swagger UI has dark colours under this class.
const dark = matchMedia("(prefers-color-scheme: dark)");
document.documentElement.classList.toggle("dark-mode", dark.matches);
const target = document.getElementById("swagger-ui");
const ui = SwaggerUIBundle({
  domNode: target,
  url: target.dataset.url,
  deepLinking: true,
  // Where "Authorize" comes back to; a client for these pages has this redirect URI.
  oauth2RedirectUrl: new URL(target.dataset.redirect, location.href).href,
});
ui.initOAuth({ usePkceWithAuthorizationCodeGrant: true });
