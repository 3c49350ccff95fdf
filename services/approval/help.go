package approval

// Help explains the service on its command line.
const Help = `approval asks people: it shows held commands in Slack, on pages of its own and in
the terminal, counts the votes, and signs the one decision that lets a command go on.

It reads    requests and cancellations (approval.*.*.requested, .cancelled), the
            signed policy bundle (bucket bundle_policy: who may approve, who is who).
It writes   signed decisions (approval.*.*.decided), its state (bucket approvals),
            and a record of every step (admin.approval.steps).
Endpoints   approval.listen (HTTP): GET /v1/approvals, GET /v1/approvals/{id},
            POST /v1/approvals/{id}/vote (signed in by gatestay login),
            POST /slack/interactions (transport http, signed by Slack),
            / the inbox for browsers (sign_in.issuer and approval.url),
            /healthz /readyz /metrics.
Slack       approval.slack.transport: socket (Socket Mode, needs app_token), http
            (needs signing_secret and a public address), or off.

No requester can approve, one person counts once, and a requester whom the
people map does not know makes one more approver necessary. While Slack is down
requests wait, are shown when it is back, and can be decided with
'gatestay approvals'. While this service is down commands stay held until their
deadline. Several replicas may run; give each its approval.instance.

Example:
  approval --config /etc/gatestay/gatestay.yaml`
