-- +goose Up
-- A link may also take a lost second factor away.
ALTER TABLE account_link DROP CONSTRAINT account_link_purpose_check,
  ADD CONSTRAINT account_link_purpose_check CHECK (purpose IN ('invite', 'reset', 'factor'));

-- A session whose holder has only shown a password is half open: it has to be proved by the second factor, or one has to
-- be set up, before it opens anything. It is never fresh. And when its person was here before it.
ALTER TABLE session
  ADD pending     text NOT NULL DEFAULT '' CHECK (pending IN ('', 'factor', 'enrol')),
  ADD provider    text NOT NULL DEFAULT '',
  ADD previous_at timestamptz,
  ADD CONSTRAINT half_open_is_not_fresh CHECK (pending = '' OR fresh_until IS NULL),
  ADD CONSTRAINT only_a_password_is_half CHECK (pending = '' OR method = 'password');
-- The cookie gets a new value when somebody has proved anew who they are; what hangs on the session follows.
ALTER TABLE stored_search DROP CONSTRAINT stored_search_session_hash_fkey,
  ADD CONSTRAINT stored_search_session_hash_fkey FOREIGN KEY (session_hash) REFERENCES session ON UPDATE CASCADE ON DELETE CASCADE;

-- Second factors. The secret of one-time codes is sealed with a key that lies outside the database; of a passkey only
-- the public half is known. last_step is the newest half-minute whose code was taken: none is taken twice.
CREATE TABLE account_factor (
  id            uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  account_id    bigint NOT NULL REFERENCES account ON DELETE CASCADE,
  kind          text NOT NULL CHECK (kind IN ('webauthn', 'totp')),
  name          text NOT NULL,
  credential_id bytea UNIQUE,
  secret        bytea NOT NULL,
  last_step     bigint NOT NULL DEFAULT 0,
  created_at    timestamptz NOT NULL,
  used_at       timestamptz,
  CHECK ((kind = 'webauthn') = (credential_id IS NOT NULL))
);
CREATE INDEX account_factor_account ON account_factor (account_id);
CREATE UNIQUE INDEX account_factor_one_code ON account_factor (account_id) WHERE kind = 'totp';
CREATE TABLE recovery_code (
  account_id bigint NOT NULL REFERENCES account ON DELETE CASCADE,
  code_hash  bytea NOT NULL,
  PRIMARY KEY (account_id, code_hash)
);

-- Who an account is at a provider of identities: a keyed hash, so that no number of a person is kept.
CREATE TABLE account_provider (
  subject_hash bytea PRIMARY KEY,
  account_id   bigint NOT NULL REFERENCES account ON DELETE CASCADE,
  provider     text NOT NULL,
  linked_at    timestamptz NOT NULL,
  UNIQUE (account_id, provider)
);

-- What was begun in one request and ends in another: on the way to a provider, before a passkey's answer, codes that are
-- shown once. Sealed, bound to one browser, used once.
CREATE TABLE ceremony (
  token_hash bytea PRIMARY KEY,
  kind       text NOT NULL CHECK (kind IN ('provider', 'passkey', 'new_passkey', 'new_code', 'codes')),
  binding    bytea NOT NULL,
  sealed     bytea NOT NULL,
  expires_at timestamptz NOT NULL
);
CREATE INDEX ceremony_expires_at ON ceremony (expires_at);

GRANT SELECT, INSERT, UPDATE, DELETE ON account_factor TO frist_signin;
GRANT SELECT, INSERT, DELETE ON recovery_code, account_provider, ceremony TO frist_signin;

-- +goose Down
DROP TABLE ceremony, account_provider, recovery_code, account_factor;
ALTER TABLE stored_search DROP CONSTRAINT stored_search_session_hash_fkey,
  ADD CONSTRAINT stored_search_session_hash_fkey FOREIGN KEY (session_hash) REFERENCES session ON DELETE CASCADE;
ALTER TABLE session DROP CONSTRAINT half_open_is_not_fresh, DROP CONSTRAINT only_a_password_is_half, DROP pending, DROP provider, DROP previous_at;
DELETE FROM account_link WHERE purpose = 'factor';
ALTER TABLE account_link DROP CONSTRAINT account_link_purpose_check,
  ADD CONSTRAINT account_link_purpose_check CHECK (purpose IN ('invite', 'reset'));
