package policy

// Help explains the service on its command line.
const Help = `policy owns the rules: it validates, tests, versions, signs and publishes them.

It reads    the folder policy.dir (rules, people.yaml, *_test.yaml; live) and the
            targets of gatestay.yaml (live).
            A changed people.yaml waits until others have approved it: decisions
            of the approval service (approval.policy.*.decided).
It writes   the signed policy bundle and the people map in force (bucket
            bundle_policy; the map beside policy.key, too), requests to change it
            (approval.policy.<id>.requested, .cancelled), a signed lease every
            second (control.lease), and records of what was published, rejected,
            and added, changed or removed (admin.policy.<instance>).
Endpoints   policy.listen (HTTP): GET /v1/status, GET /v1/bundle,
            /healthz /readyz /metrics.

A folder with a problem, or with a failing test, is not published: the last good
bundle stays, and the log, /v1/status and the audit say what is wrong and where.
Several replicas may run on the same folder; give each its policy.instance.
While the bus is down nothing is published and no lease is sent, so gateways
stop admitting commands after five seconds.

Example:
  policy --config /etc/gatestay/gatestay.yaml`
