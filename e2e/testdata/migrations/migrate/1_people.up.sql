BEGIN;
CREATE TABLE migrate_people (id bigserial PRIMARY KEY, name text NOT NULL);
INSERT INTO migrate_people (name) VALUES ('Ada');
ALTER TABLE migrate_people ADD COLUMN born date;
COMMIT;
