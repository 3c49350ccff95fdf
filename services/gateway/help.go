package gateway

// Help explains the service on its command line.
const Help = `gateway stands in the data path between jobs and targets.

Clients connect to gateway.postgres.listen with TLS, name the target as the
database (prod-db, or prod-db/otherdb) and give an OIDC token, or the credential
that 'gatestay run' exchanged it for, as the password.

It reads    signed bundles of the policy and masking services (bus), approvals
            meant for it, the control lease, and gatestay.yaml (live).
It writes   records into its journal and from there to the bus, approval
            requests, and used tokens.
Endpoints   gateway.api.listen (HTTPS): POST /v1/exchange, POST /v1/runs/end,
            GET /v1/can. gateway.health (HTTP): /healthz /readyz /metrics.

When the control plane cannot be heard for 5 seconds it admits no new command;
what is journalled waits for the bus. SIGTERM drains: running commands end,
holds are withdrawn.

Example:
  gateway --config /etc/gatestay/gatestay.yaml`
