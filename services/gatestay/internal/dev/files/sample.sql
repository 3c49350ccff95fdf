-- A small shop: the sample target of gatestay dev and of the demo.
CREATE TABLE customers (
    id    bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    name  text NOT NULL,
    email text NOT NULL UNIQUE,
    phone text,
    tier  text NOT NULL DEFAULT 'silver',
    notes text
);
CREATE TABLE orders (
    id          bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    customer_id bigint NOT NULL REFERENCES customers,
    total       numeric(10, 2) NOT NULL,
    status      text NOT NULL DEFAULT 'open',
    created_at  timestamptz NOT NULL DEFAULT now()
);
INSERT INTO customers (name, email, phone, tier, notes) VALUES
    ('Ada Byron', 'ada@byron.example', '+44 20 7946 0001', 'gold', 'prefers e-mail'),
    ('Grace Hopper', 'grace@navy.example', '+1 202 555 0143', 'silver', 'paid with 4111 1111 1111 1111'),
    ('Edsger Dijkstra', 'edsger@eindhoven.example', '+31 40 555 0172', 'silver', NULL),
    ('Barbara Liskov', 'barbara@mit.example', '+1 617 555 0198', 'gold', 'ships to the lab'),
    ('Tony Hoare', 'tony@oxford.example', '+44 1865 555 021', 'bronze', NULL);
INSERT INTO customers (name, email, phone, tier)
    SELECT 'Customer ' || n, 'customer' || n || '@shop.example', '+1 555 ' || lpad(n::text, 7, '0'), (ARRAY['bronze', 'silver', 'gold'])[1 + n % 3]
    FROM generate_series(6, 1200) AS n;
INSERT INTO orders (customer_id, total, status)
    SELECT 1 + n % 1200, (n % 900) + 0.99, (ARRAY['open', 'paid', 'shipped'])[1 + n % 3]
    FROM generate_series(1, 5000) AS n;
-- So that what a held command would touch is told at once, not after an autovacuum.
ANALYZE;
