// Swagger UI over the service's own OpenAPI document, with repairs where its markup fails axe-core.
const token = document.querySelector('meta[name="csrf-token"]').content;

const dark = matchMedia("(prefers-color-scheme: dark)");
const followScheme = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", followScheme);
followScheme();

/** The page has its own heading and landmarks: show only the endpoints and the button for the API key. */
const frame = ({ React }) => ({
  components: {
    EndpointsLayout: ({ getComponent, specSelectors }) => {
      const [Errors, Authorize, Operations] = ["errors", "AuthorizeBtnContainer", "operations"].map((name) => getComponent(name, true));
      if (specSelectors.loadingStatus() === "loading") return React.createElement("p", { role: "status" }, "Loading…");
      return React.createElement("div", { className: "swagger-ui" },
        React.createElement(getComponent("SvgAssets")),
        React.createElement(Errors),
        React.createElement("div", { className: "row" }, React.createElement("h2", null, "Endpoints"), React.createElement(Authorize)),
        React.createElement(Operations));
    },
  },
  wrapComponents: {
    // a link inside the button that opens an operation cannot be reached
    DeepLink: () => ({ text }) => React.createElement("span", null, text),
    // the name of a button is its text
    Button: (Button) => (props) => React.createElement(Button, { ...props, "aria-label": undefined }),
    CloseIcon: () => () => React.createElement("span", null, "Close"),
  },
});

SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#swagger-ui",
  layout: "EndpointsLayout",
  plugins: [frame],
  deepLinking: true,
  docExpansion: "list",
  validatorUrl: null, // no request to another host
  persistAuthorization: false,
  requestInterceptor: (request) => {
    if (token && !request.headers.Authorization) request.headers["X-CSRF-Token"] = token; // a session's request
    return request;
  },
});

// Every operation has a table that calls itself a region without a name.
const regions = "table.responses-table[role=region]";
new MutationObserver(() => document.querySelectorAll(regions).forEach((table) => table.removeAttribute("role")))
  .observe(document.getElementById("swagger-ui"), { childList: true, subtree: true });
