-- +goose NO TRANSACTION
-- +goose Up
CREATE INDEX CONCURRENTLY goose_upper ON goose_people (upper(name));

-- +goose Down
DROP INDEX CONCURRENTLY goose_upper;
