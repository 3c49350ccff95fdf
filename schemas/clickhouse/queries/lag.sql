-- How far the store is behind: of each producer the latest batch, how long it
-- took from being sealed to being stored, and whether numbers are missing.
--
-- Parameters: none
--
-- clickhouse client --queries-file lag.sql
SELECT
    b.producer AS producer,
    b.incarnation AS incarnation,
    max(b.number) AS latest_batch,
    max(b.stored_at) AS latest_stored,
    round(argMax(dateDiff('millisecond', b.sealed_at, b.stored_at), b.number) / 1000, 3) AS latest_seconds,
    round(quantile(0.5)(dateDiff('millisecond', b.sealed_at, b.stored_at)) / 1000, 3) AS median_seconds,
    round(quantile(0.99)(dateDiff('millisecond', b.sealed_at, b.stored_at)) / 1000, 3) AS p99_seconds,
    sum(b.record_count) AS records,
    countIf(b.digest != '') AS unverified_batches,
    maxIf(b.number, b.digest = '') - minIf(b.number, b.digest = '') + 1 - uniqExactIf(b.number, b.digest = '') AS missing_batches
FROM gatestay.batches AS b
WHERE b.stored_at >= now() - INTERVAL 1 DAY AND b.producer != 'approval/steps'
GROUP BY b.producer, b.incarnation
ORDER BY latest_stored DESC;
