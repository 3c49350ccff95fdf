-- +goose Up

-- One row a batch, written after all rows of its records are there: a batch
-- that has a row here is stored whole. Forward only.
CREATE TABLE IF NOT EXISTS batches
(
    producer           LowCardinality(String) COMMENT 'gateway/<id>, policy/<instance>, approval/steps, …',
    incarnation        String                 COMMENT 'one process life of the producer, or one approval',
    number             UInt64                 COMMENT 'from 1, without gaps, within the incarnation',
    digest             String                 COMMENT 'empty; of a batch that does not verify the SHA-256 of its bytes, in hex: it takes no genuine batch''s place',
    previous_hash      String                 COMMENT 'hash of the batch before; empty for number 1',
    hash               String                 COMMENT 'SHA-256 over the head and the leaves, 32 bytes',
    key_id             LowCardinality(String),
    signature          String                 COMMENT 'Ed25519 over the hash, 64 bytes',
    leaves             Array(FixedString(32)) COMMENT 'SHA-256 of each record, in order',
    record_count       UInt32,
    integrity          LowCardinality(String) COMMENT 'verified, changed, untrusted, conflict, placeholder',
    problem            String                 COMMENT 'why it is not verified, in words',
    placeholder_reason String                 COMMENT 'why the original could not be processed',
    subject            LowCardinality(String) COMMENT 'where it came from',
    stream_sequence    UInt64                 COMMENT 'in the stream AUDIT, for as long as that keeps it',
    sealed_at          DateTime64(9, 'UTC')   COMMENT 'by the producer''s clock; of a batch that does not verify, by the bus''s',
    stored_at          DateTime64(3, 'UTC')   DEFAULT now64(3)
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(sealed_at)
ORDER BY (producer, incarnation, number, digest)
SETTINGS non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1;

