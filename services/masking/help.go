package masking

// Help explains the service on its command line.
const Help = `masking owns the masking rules, and looks at every record a second time before
it is archived.

It reads    the folder masking.dir (live), and the batches of records on the
            streams RECORDS (record.>) and ADMIN (admin.>).
It writes   the signed masking bundle (bucket bundle_masking); the same batches,
            each under its own id, to the stream AUDIT (audit.>); records of its
            own (admin.masking.<instance>): what it redacted, what it found.
Endpoints   masking.listen (HTTP): GET /v1/status, /healthz /readyz /metrics.

A folder with a problem is not published: the last good bundle stays, and the
log, /v1/status and the audit say what is wrong and where. The second look runs
all detectors, deeper than the gateway's: through encodings and disguises, and
across the borders of neighbouring fields. What it finds is redacted; the
batch's signature still holds. A batch that cannot be processed is replaced,
under its number, by a placeholder that says why.

While the bus is down nothing moves, and nothing is lost: the gateways' journals
keep what they have. While this service is down, records wait on the streams,
up to seven days.

Example:
  masking --config /etc/gatestay/gatestay.yaml`
