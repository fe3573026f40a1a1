// A client of this server by oauth4webapi, which follows the RFCs strictly: it prints where
// the user has to go, reads where the user comes back, and uses the tokens.
import * as oauth from "oauth4webapi";
import { createInterface } from "node:readline/promises";

const [base, id, secret, place] = process.argv.slice(2);
// The tests run without TLS.
const open = { [oauth.allowInsecureRequests]: true };
const issuer = new URL(base);
const found = await oauth.discoveryRequest(issuer, { algorithm: "oauth2", ...open });
const server = await oauth.processDiscoveryResponse(issuer, found);
const client = { client_id: id };
const proof = oauth.ClientSecretBasic(secret);

const verifier = oauth.generateRandomCodeVerifier();
const state = oauth.generateRandomState();
const asked = new URL(server.authorization_endpoint);
asked.search = new URLSearchParams({
  client_id: id,
  redirect_uri: place,
  response_type: "code",
  scope: "carts:read",
  state,
  code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
  code_challenge_method: "S256",
});
console.log(asked.href);
const lines = createInterface({ input: process.stdin });
const back = new URL(await lines[Symbol.asyncIterator]().next().then((one) => one.value));
lines.close();

const checked = oauth.validateAuthResponse(server, client, back, state);
const code = await oauth.authorizationCodeGrantRequest(server, client, proof, checked, place, verifier, open);
const first = await oauth.processAuthorizationCodeResponse(server, client, code);
const again = await oauth.refreshTokenGrantRequest(server, client, proof, first.refresh_token, open);
const second = await oauth.processRefreshTokenResponse(server, client, again);
const call = (token) => oauth.protectedResourceRequest(token, "GET", new URL("/carts/", base), undefined, undefined, open);
const carts = await call(second.access_token);

const told = await oauth.introspectionRequest(server, client, proof, second.access_token, open);
const known = await oauth.processIntrospectionResponse(server, client, told);
const ended = await oauth.revocationRequest(server, client, proof, second.refresh_token, open);
await oauth.processRevocationResponse(ended);
const refused = await call(second.access_token).catch((error) => error);

const own = await oauth.clientCredentialsGrantRequest(server, client, proof, { scope: "carts:read" }, open);
const itself = await oauth.processClientCredentialsResponse(server, client, own);
console.log(
  JSON.stringify({
    carts: carts.status,
    active: known.active,
    refused: refused.cause?.[0]?.parameters?.error,
    itself: itself.token_type,
  }),
);
