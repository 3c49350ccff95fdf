// Package localissuer is an OIDC issuer on loopback, for gatestay dev, the demo
// and tests. It makes job tokens with the claims of GitHub Actions or GitLab CI,
// answers GitHub's request-URL protocol, and signs people in with the
// authorization code flow (PKCE) and the device flow, so that everything that
// runs against it runs unchanged against the real ones.
//
// Its URL is its loopback address, so its tokens are accepted nowhere but by a
// configuration that names that address. Three guards keep others out who can
// reach loopback too: the Host header must be ours (a page whose name was
// rebound to 127.0.0.1 is refused), a request from a page of another origin is
// refused, and whoever mints a token or says who they are must prove that they
// can read keys/mint.secret, a file of mode 0600. 'gatestay' does so by itself.
//
// Endpoints:
//
//	GET  /.well-known/openid-configuration, /keys (GitLab's and generic job tokens
//	     have issuers of their own below /gitlab-ci and /generic)
//	POST /mint           {"preset","audience","claims"}  → {"value"}                        mint secret
//	POST /job            {"preset","claims"}             → {"request_url","request_token"}  mint secret
//	POST /signin         {"person","client_id","nonce"}  → {"id_token"}                     mint secret
//	GET  /actions/token  ?audience=…                     → {"value"}                        request token of /job
//	GET  /authorize      the sign-in page (POST: the choice)
//	POST /token          authorization_code, device_code
//	POST /device_authorization
//	GET  /device         the page for a device's code (POST: the choice)
package localissuer
