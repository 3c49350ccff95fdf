#!/usr/bin/env bash
# The demo database's first start: an account for the gateway, and a table with
# something to mask. Run by the image as it initialises an empty volume.
set -euo pipefail

# A server key must be the server's own and closed to others.
install -m 600 /etc/shop/server.key "$PGDATA/server.key"
install -m 644 /etc/shop/server.pem "$PGDATA/server.crt"
echo "ssl = on" >>"$PGDATA/postgresql.conf"

psql -v ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" -v password="$GATESTAY_SHOP_PASSWORD" <<'SQL'
CREATE ROLE gatestay LOGIN PASSWORD :'password';
CREATE TABLE customers (
  id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name  text NOT NULL,
  email text NOT NULL,
  phone text,
  tier  text NOT NULL DEFAULT 'standard',
  note  text
);
INSERT INTO customers (name, email, phone, note)
SELECT 'Customer ' || n, 'customer' || n || '@example.com', '+49 30 ' || (1000000 + n), CASE WHEN n % 10 = 0 THEN 'paid with 4111 1111 1111 1111' END
FROM generate_series(1, 200) AS n;
GRANT USAGE ON SCHEMA public TO gatestay;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO gatestay;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO gatestay;
SQL
