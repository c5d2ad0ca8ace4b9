-- +goose Up
-- Roles belong to the whole cluster, so each is made only when it is missing.
-- Logins hold no rights of their own (NOINHERIT): a connection that forgot to take a group role can do nothing.
-- +goose StatementBegin
DO $$
DECLARE
  name text;
BEGIN
  FOREACH name IN ARRAY ARRAY['frist_signin', 'frist_municipality', 'frist_support', 'frist_supplier', 'frist_platform', 'frist_purger', 'frist_jobs', 'frist_definer'] LOOP
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) THEN
      EXECUTE format('CREATE ROLE %I NOLOGIN NOINHERIT', name);
    END IF;
  END LOOP;
  FOREACH name IN ARRAY ARRAY['frist_web', 'frist_operator', 'frist_worker'] LOOP
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) THEN
      EXECUTE format('CREATE ROLE %I LOGIN NOINHERIT', name);
    END IF;
  END LOOP;
  GRANT frist_signin, frist_municipality, frist_support, frist_platform TO frist_web;
  GRANT frist_supplier TO frist_operator;
  GRANT frist_purger, frist_jobs TO frist_worker;
EXCEPTION WHEN unique_violation OR duplicate_object THEN
  NULL; -- another database of the same cluster is being migrated at this moment
END $$;
-- +goose StatementEnd
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO frist_signin, frist_municipality, frist_support, frist_supplier, frist_platform, frist_purger, frist_jobs, frist_definer;
ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;

-- +goose Down
SELECT 1; -- roles are left: other databases of the cluster may use them
