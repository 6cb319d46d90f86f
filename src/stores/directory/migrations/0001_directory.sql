-- Understood by SQLite and PostgreSQL alike. Times are seconds since 1970.

-- One row: the number of the last change that the registry has to know of.
CREATE TABLE changes (
    number BIGINT NOT NULL
);
INSERT INTO changes (number) VALUES (0);

CREATE TABLE contracts (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    suspended_at BIGINT,
    change BIGINT NOT NULL
);
CREATE INDEX contracts_by_change ON contracts (change);

CREATE TABLE users (
    contract_id TEXT NOT NULL REFERENCES contracts (id),
    user_id TEXT NOT NULL,
    role TEXT NOT NULL,
    mail TEXT,
    language TEXT NOT NULL,
    pin_hash TEXT,
    pin_set_at BIGINT,
    pin_temporary_until BIGINT,
    last_sign_in_at BIGINT,
    last_sign_in_method TEXT,
    created_at BIGINT NOT NULL,
    change BIGINT NOT NULL,
    PRIMARY KEY (contract_id, user_id)
);
CREATE INDEX users_by_change ON users (change);

CREATE TABLE suspensions (
    contract_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    cause TEXT NOT NULL,
    suspended_at BIGINT NOT NULL,
    PRIMARY KEY (contract_id, user_id, cause),
    FOREIGN KEY (contract_id, user_id) REFERENCES users (contract_id, user_id)
);

CREATE TABLE credentials (
    fingerprint TEXT NOT NULL PRIMARY KEY,
    contract_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    serial TEXT NOT NULL,
    not_before BIGINT NOT NULL,
    not_after BIGINT NOT NULL,
    registered_at BIGINT NOT NULL,
    revoked_at BIGINT,
    FOREIGN KEY (contract_id, user_id) REFERENCES users (contract_id, user_id)
);
CREATE INDEX credentials_by_user ON credentials (contract_id, user_id, not_after);

-- By a hash of the IDs as typed: nobody may have them, and some people type their PIN where the user ID belongs.
CREATE TABLE attempts (
    tag TEXT NOT NULL,
    proven BIGINT NOT NULL,
    made BIGINT NOT NULL,
    forgotten_at BIGINT NOT NULL,
    PRIMARY KEY (tag, proven)
);
CREATE INDEX attempts_by_end ON attempts (forgotten_at);

-- Mails that are to be sent, written together with their reason. `number` is the change's.
CREATE TABLE notices (
    number BIGINT NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL,
    contract_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    sent_at BIGINT,
    FOREIGN KEY (contract_id, user_id) REFERENCES users (contract_id, user_id)
);
