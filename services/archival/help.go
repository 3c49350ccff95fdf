package archival

// Help explains the service on its command line.
const Help = `archival keeps the audit: it moves every batch of records from the bus into
ClickHouse, once and in order, and answers auditors.

It reads    the audit stream (audit.>, durable consumer "archival") and the
            policy bundle (for the people map: who is an auditor).
It writes   ClickHouse (archival.clickhouse; it makes database and tables itself),
            and records of its own: findings, and every look at the audit
            (admin.archival.<instance>).
Endpoints   archival.listen (HTTP): GET /v1/audit/search,
            GET /v1/audit/sessions/{id} (signed-in auditors only),
            /healthz /readyz /metrics.

While ClickHouse is down records wait on the stream, and /readyz says so. A batch
that no trusted producer signed (trust.records) is stored apart and becomes a
finding; at a missing number its producer's batches wait.
Several replicas may run; one writes at a time. Give each its archival.instance.

Example:
  archival --config /etc/gatestay/gatestay.yaml`
