-- +goose Up
-- How often somebody may do what is costly or easily abused, counted for all processes at once: a bucket of tokens for each
-- account (or address, before anybody is known) and kind of act. Nobody misses it after a crash.
CREATE UNLOGGED TABLE rate_bucket (
  key_hash bytea PRIMARY KEY, -- of the kind and of who
  tokens   double precision NOT NULL,
  at       timestamptz NOT NULL -- by the server's own clock, the one that all processes share
);
CREATE INDEX rate_bucket_at ON rate_bucket (at);
GRANT SELECT, INSERT, UPDATE, DELETE ON rate_bucket TO frist_signin;

-- Large objects stand behind no policy: what one municipality put there, another could read. The product has none, and
-- nobody makes any. Only a superuser can say so; on a server where the migration is none, frist check tells.
-- +goose StatementBegin
DO $$
DECLARE
  f regprocedure;
BEGIN
  IF (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
    FOR f IN SELECT oid FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace AND proname ~ '^lo_|^lo(read|write)$' LOOP
      EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', f);
    END LOOP;
  END IF;
END $$;
-- +goose StatementEnd

-- +goose Down
DROP TABLE rate_bucket;
