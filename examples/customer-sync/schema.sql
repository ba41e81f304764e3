CREATE TABLE customers (
    id bigint PRIMARY KEY,
    email text,
    orders integer NOT NULL,
    updated_at timestamptz NOT NULL
);
