-- +goose Up

-- One row a record, of all kinds. Partitioned by the month in which its batch
-- was sealed, so that a batch is one block in one partition: whole or not there.
CREATE TABLE IF NOT EXISTS records
(
    -- the record and its place
    id                  String                 COMMENT 'ULID',
    time                DateTime64(9, 'UTC')   COMMENT 'by the producer''s clock',
    kind                LowCardinality(String) COMMENT 'session_opened, session_closed, session_refused, intent, outcome, approval, admin, finding, redaction',
    producer            LowCardinality(String),
    incarnation         String,
    batch_number        UInt64,
    position            UInt32                 COMMENT 'within the batch, from 0',
    digest              LowCardinality(String) COMMENT 'as in batches',
    sealed_at           DateTime64(9, 'UTC'),
    integrity           LowCardinality(String) COMMENT 'of its batch: verified, changed, untrusted, conflict',
    redacted            Array(LowCardinality(String)) COMMENT 'fields whose text is no longer what was recorded; a redaction record says by whom',

    -- where it belongs
    session_id          String,
    session_sequence    UInt64                 COMMENT 'order within the session, from 1',
    command_id          String                 COMMENT 'joins intent, approval and outcome',
    trace_id            String                 COMMENT '32 hex digits; one per job run',

    -- the principal
    issuer              LowCardinality(String),
    subject             String,
    preset              LowCardinality(String) COMMENT 'github-actions, gitlab-ci, …',
    repository          LowCardinality(String) COMMENT 'display name',
    repository_id       LowCardinality(String) COMMENT 'never reused',
    repository_owner_id LowCardinality(String),
    workflow            LowCardinality(String),
    run_id              String,
    run_attempt         LowCardinality(String),
    job_id              String,
    job                 LowCardinality(String),
    ref                 LowCardinality(String),
    run_environment     LowCardinality(String) COMMENT 'deployment environment claim',
    run_event           LowCardinality(String) COMMENT 'push, pull_request, …',
    run_actor           LowCardinality(String) COMMENT 'who caused the run, as the CI system says',
    run_actor_id        LowCardinality(String),
    triggering_actor    LowCardinality(String) COMMENT 'who pressed re-run, where told',
    run_url             String,
    agent               LowCardinality(String),
    on_behalf_of        LowCardinality(String),
    claims              Map(LowCardinality(String), String),
    asserted            Array(LowCardinality(String)) COMMENT 'names of the fields that the caller merely said',

    -- the target
    target              LowCardinality(String),
    database            LowCardinality(String),
    environment         LowCardinality(String) COMMENT 'of the target',
    protocol            LowCardinality(String),

    -- the command
    verb                LowCardinality(String),
    class               LowCardinality(String) COMMENT 'read, write, ddl, admin, session, unknown',
    objects             Nested(schema LowCardinality(String), name LowCardinality(String), access LowCardinality(String)),
    object_names        Array(LowCardinality(String)) MATERIALIZED
        arrayMap((s, n) -> if(s = '', n, concat(s, '.', n)), `objects.schema`, `objects.name`) COMMENT 'schema.name',
    fingerprint         String,
    statement           String COMMENT 'scrubbed' CODEC(ZSTD(3)),
    parameters          Array(String) COMMENT 'scrubbed' CODEC(ZSTD(3)),
    reason              String                 COMMENT 'as the caller gave it, scrubbed',

    -- the decision
    effect              LowCardinality(String) COMMENT 'allow, deny, hold',
    rule                LowCardinality(String),
    rule_hash           LowCardinality(String),
    policy_version      UInt64,
    masking_version     UInt64,
    approval_id         String,
    approvers           Array(LowCardinality(String)) COMMENT 'persons whose votes counted',
    wait_ns             Int64                  COMMENT 'time held',

    -- the outcome
    status              LowCardinality(String) COMMENT 'ok, error, refused, cancelled, not_executed, unknown',
    code                LowCardinality(String) COMMENT 'GS code or the target''s error code',
    message             String                 COMMENT 'scrubbed',
    rows                Int64,
    bytes               Int64,
    masked_cells        Int64,
    duration_ns         Int64,

    -- approvals, administrative acts, findings, redactions
    action              LowCardinality(String) COMMENT 'requested, voted, decided, …; bundle.published, …',
    actor               LowCardinality(String) COMMENT 'person or service that did it',
    outcome             LowCardinality(String) COMMENT 'approved, denied, expired, cancelled',
    details             Map(LowCardinality(String), String),

    -- what the batch's hash covers in place of the texts
    commitments         Map(LowCardinality(String), String) COMMENT 'HMAC-SHA256 by field',
    salt                String,
    stored_at           DateTime64(3, 'UTC')   DEFAULT now64(3),

    INDEX by_time          time            TYPE minmax              GRANULARITY 1,
    INDEX by_stored        stored_at       TYPE minmax              GRANULARITY 1,
    INDEX by_kind          kind            TYPE set(10)             GRANULARITY 1,
    INDEX by_id            id              TYPE bloom_filter(0.01)  GRANULARITY 4,
    INDEX by_command       command_id      TYPE bloom_filter(0.01)  GRANULARITY 1,
    INDEX by_approval      approval_id     TYPE bloom_filter(0.01)  GRANULARITY 4,
    INDEX by_trace         trace_id        TYPE bloom_filter(0.01)  GRANULARITY 1,
    INDEX by_repository    repository      TYPE bloom_filter(0.01)  GRANULARITY 1,
    INDEX by_repository_id repository_id   TYPE bloom_filter(0.01)  GRANULARITY 1,
    INDEX by_subject       subject         TYPE bloom_filter(0.01)  GRANULARITY 1,
    INDEX by_actor         run_actor       TYPE bloom_filter(0.01)  GRANULARITY 1,
    INDEX by_agent         agent           TYPE bloom_filter(0.01)  GRANULARITY 1,
    INDEX by_object        object_names    TYPE bloom_filter(0.01)  GRANULARITY 1,
    INDEX by_object_name   `objects.name`  TYPE bloom_filter(0.01)  GRANULARITY 1,
    INDEX by_effect        effect          TYPE set(8)              GRANULARITY 1,
    INDEX by_status        status          TYPE set(16)             GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(sealed_at)
ORDER BY (session_id, session_sequence, time)
SETTINGS non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1;

