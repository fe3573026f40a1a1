// Starts Swagger UI. The page carries no inline script, so that its policy can be strict.
const target = document.getElementById("swagger-ui");
SwaggerUIBundle({ domNode: target, url: target.dataset.url, deepLinking: true });
