-- The life of a credential: permitted, issued, acquired, used, retired, revoked. Whatever is registered already is held
-- and in use.

ALTER TABLE credentials ADD COLUMN acquired_at BIGINT;
ALTER TABLE credentials ADD COLUMN used_at BIGINT;
ALTER TABLE credentials ADD COLUMN retired_at BIGINT;
ALTER TABLE credentials ADD COLUMN revoked_because TEXT;
-- The key's ID of our own issuer; NULL for a certificate that the bank's CA issued without us.
ALTER TABLE credentials ADD COLUMN issuer TEXT;
-- The fingerprint of the credential that it renews.
ALTER TABLE credentials ADD COLUMN renews TEXT;
-- What ties it to the browser that fetched it as a file.
ALTER TABLE credentials ADD COLUMN browser TEXT;
-- The changes that registered it and that touched it last.
ALTER TABLE credentials ADD COLUMN registered_by BIGINT NOT NULL DEFAULT 0;
ALTER TABLE credentials ADD COLUMN change BIGINT NOT NULL DEFAULT 0;
UPDATE credentials SET acquired_at = registered_at, used_at = registered_at;
CREATE INDEX credentials_by_change ON credentials (change);
CREATE INDEX credentials_by_end ON credentials (not_after);
CREATE INDEX credentials_by_issuer ON credentials (issuer, revoked_at);

CREATE TABLE permits (
    contract_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    permitted_at BIGINT NOT NULL,
    permitted_by TEXT NOT NULL,
    lapses_at BIGINT NOT NULL,
    PRIMARY KEY (contract_id, user_id),
    FOREIGN KEY (contract_id, user_id) REFERENCES users (contract_id, user_id)
);

-- One mail a row, written together with its reason. Until now none was ever sent.
DROP TABLE notices;
CREATE TABLE notices (
    number BIGINT NOT NULL PRIMARY KEY,
    -- What can happen only once: kind, reason and address.
    occasion TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    contract_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    mail TEXT NOT NULL,
    language TEXT NOT NULL,
    fingerprint TEXT,
    serial TEXT,
    not_after BIGINT,
    created_at BIGINT NOT NULL,
    -- waiting, sending, uncertain, sent or dropped
    state TEXT NOT NULL,
    attempts BIGINT NOT NULL,
    claimed_until BIGINT,
    due_at BIGINT,
    sent_at BIGINT,
    problem TEXT,
    FOREIGN KEY (contract_id, user_id) REFERENCES users (contract_id, user_id)
);
CREATE INDEX notices_by_state ON notices (state, due_at);

-- Revocation lists of our own issuers.
CREATE TABLE lists (
    issuer TEXT NOT NULL,
    number BIGINT NOT NULL,
    change BIGINT NOT NULL,
    this_update BIGINT NOT NULL,
    next_update BIGINT NOT NULL,
    der TEXT NOT NULL,
    PRIMARY KEY (issuer, number)
);
