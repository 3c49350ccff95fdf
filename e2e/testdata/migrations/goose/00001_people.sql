-- +goose Up
CREATE TABLE goose_people (id bigserial PRIMARY KEY, name text NOT NULL);
CREATE INDEX ON goose_people (name);
INSERT INTO goose_people (name) VALUES ('Ada');

-- +goose Down
DROP TABLE goose_people;
