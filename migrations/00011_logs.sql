-- +goose Up
-- The three logs of D25 grow up: for which organisation somebody acted is on record, old rows go by the municipality's own
-- rule and by nothing else, and what is unusual becomes a finding that the privacy officer assesses.

-- The organisation follows from the role, in the database, so that nobody who writes a row can forget it or say another.
ALTER TABLE audit ADD organisation text NOT NULL GENERATED ALWAYS AS (CASE
  WHEN role IN ('support', 'platform_administrator') THEN 'processor' WHEN role = 'operator' THEN 'supplier'
  WHEN role = 'system' THEN 'frist' WHEN role = 'nobody' THEN 'unknown' ELSE 'municipality' END) STORED;
ALTER TABLE access_log ADD organisation text NOT NULL GENERATED ALWAYS AS (CASE
  WHEN role IN ('support', 'platform_administrator') THEN 'processor' WHEN role = 'operator' THEN 'supplier'
  WHEN role = 'system' THEN 'frist' WHEN role = 'nobody' THEN 'unknown' ELSE 'municipality' END) STORED;

-- Search goes by time, within a municipality, a person, an act.
CREATE INDEX audit_at ON audit (municipality_id, at, id);
CREATE INDEX audit_account ON audit (municipality_id, account_id, at, id);
CREATE INDEX audit_act ON audit (municipality_id, act, at, id);
CREATE INDEX audit_refused ON audit (municipality_id, at, id) WHERE refused;
CREATE INDEX access_log_at ON access_log (municipality_id, at, id);
CREATE INDEX access_log_account ON access_log (municipality_id, account_id, at, id);

-- Neither log is ever changed or emptied, by whomever: the tables' owner and a superuser in replica mode meet the trigger too.
-- A row goes by the sweep alone, when the municipality's own rule for its class says so by the installation's clock.
DROP TRIGGER append_only ON audit;
DROP TRIGGER append_only ON access_log;
CREATE TRIGGER append_only BEFORE UPDATE OR TRUNCATE ON audit FOR EACH STATEMENT EXECUTE FUNCTION frist_refuse();
CREATE TRIGGER append_only BEFORE UPDATE OR TRUNCATE ON access_log FOR EACH STATEMENT EXECUTE FUNCTION frist_refuse();
-- +goose StatementBegin
CREATE FUNCTION log_keeps() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
  due   date;
  today date;
BEGIN
  IF current_user = 'frist_purger' THEN
    SELECT due_on((OLD.at AT TIME ZONE m.time_zone)::date, r.period_months, r.period_days, r.inclusive, r.alignment), (frist_now() AT TIME ZONE m.time_zone)::date
    INTO due, today
    FROM municipality m CROSS JOIN LATERAL (
      SELECT v.* FROM retention_rule v WHERE v.municipality_id = m.id AND v.class = TG_ARGV[0] AND v.valid_from <= (frist_now() AT TIME ZONE m.time_zone)::date
      ORDER BY v.version DESC LIMIT 1) r
    WHERE m.id = OLD.municipality_id AND r.outcome = 'destroy'; -- a missing rule means keep, and so does an open archive question (D6)
    IF due <= today THEN
      RETURN OLD;
    END IF;
  END IF;
  RAISE EXCEPTION 'append only: %', TG_TABLE_NAME USING ERRCODE = 'FR009';
END $$;
-- +goose StatementEnd
CREATE TRIGGER log_keeps BEFORE DELETE ON audit FOR EACH ROW EXECUTE FUNCTION log_keeps('audit');
CREATE TRIGGER log_keeps BEFORE DELETE ON access_log FOR EACH ROW EXECUTE FUNCTION log_keeps('access_log');
ALTER TABLE audit ENABLE ALWAYS TRIGGER append_only, ENABLE ALWAYS TRIGGER log_keeps;
ALTER TABLE access_log ENABLE ALWAYS TRIGGER append_only, ENABLE ALWAYS TRIGGER log_keeps;
GRANT SELECT (municipality_id, id, at), DELETE ON audit TO frist_purger;
GRANT SELECT (municipality_id, id, at, account_id, role, client_ids), DELETE ON access_log TO frist_purger;

-- The installation's own trail, sign-ins of processor and supplier, has a rule too.
SELECT set_config('frist.municipality', '0', true);
INSERT INTO retention_rule (municipality_id, class, version, start_event, period_months, period_days, outcome, authority, valid_from)
VALUES (0, 'audit', 1, 'event', 120, 0, 'destroy', 'Dokumentasjonsplikt for sletting, 10 år', '2000-01-01');
SELECT set_config('frist.municipality', '', true);

-- The instant before which rows of a class may go; null: none may. What the sweep asks; the trigger above works it out for
-- itself, row by row.
-- +goose StatementBegin
CREATE FUNCTION log_cutoff(of_class text) RETURNS timestamptz LANGUAGE sql STABLE SET search_path = public, pg_temp AS $$
  WITH place AS (
    SELECT m.id, m.time_zone AS zone, (frist_now() AT TIME ZONE m.time_zone)::date AS today FROM municipality m
    WHERE m.id = nullif(current_setting('frist.municipality', true), '')::int),
  rule AS (
    SELECT r.*, p.zone, p.today FROM place p JOIN retention_rule r ON r.municipality_id = p.id AND r.class = $1 AND r.valid_from <= p.today
    ORDER BY r.version DESC LIMIT 1)
  SELECT ((max(d.day) + 1)::timestamp AT TIME ZONE min(r.zone)) FROM rule r
  CROSS JOIN LATERAL (SELECT s::date AS day FROM generate_series(add_months(r.today, -r.period_months) - r.period_days - 500, add_months(r.today, -r.period_months) - r.period_days + 5, interval '1 day') s) d
  WHERE r.outcome = 'destroy' AND due_on(d.day, r.period_months, r.period_days, r.inclusive, r.alignment) <= r.today
$$;
-- +goose StatementEnd

-- Which looks showed one of these clients. The array operators are not leakproof, so behind the wall the index would not be
-- used: the function of the role without a login asks the setting itself, as search_clients does.
CREATE POLICY search ON access_log FOR SELECT TO frist_definer USING (true);
GRANT SELECT (municipality_id, id, client_ids) ON access_log TO frist_definer;
-- +goose StatementBegin
CREATE FUNCTION looks_at(clients uuid[]) RETURNS SETOF bigint LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
  SELECT id FROM access_log WHERE client_ids && clients AND municipality_id = nullif(current_setting('frist.municipality', true), '')::int
$$;
-- +goose StatementEnd

-- The ids under which a purged person's looks lie (D25). Only who knows the keyed hash gets an answer; nobody reads the table.
GRANT SELECT ON access_subject TO frist_definer;
-- +goose StatementBegin
CREATE FUNCTION subject_clients(hash bytea) RETURNS SETOF uuid LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
  SELECT client_id FROM access_subject WHERE municipality_id = nullif(current_setting('frist.municipality', true), '')::int AND subject_hash = hash
$$;
-- +goose StatementEnd

-- Whose opaque staff number this is: another opaque number, by which the logs know them.
-- +goose StatementBegin
CREATE FUNCTION staff_account(number text) RETURNS bigint LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
  SELECT a.id FROM account a WHERE a.staff_number = number
$$;
-- +goose StatementEnd

-- A name as two people write it: no capitals, one blank, aa for å, ae for æ, oe for ø.
-- +goose StatementBegin
CREATE FUNCTION fold_name(name text) RETURNS text LANGUAGE sql IMMUTABLE SET search_path = public, pg_temp AS $$
  SELECT replace(replace(replace(replace(replace(lower(translate(btrim(regexp_replace(normalize($1, NFC), '\s+', ' ', 'g')), 'ÆØÅÄÖ', 'æøåäö')), 'å', 'aa'), 'æ', 'ae'), 'ø', 'oe'), 'ä', 'ae'), 'ö', 'oe')
$$;
-- +goose StatementEnd
-- Of pairs of somebody who looked and a client, those where the two have the family name in common (namesake), and those
-- where one of the client's next of kin is called as the one who looked (kin). The worker cannot read accounts: it gets the
-- ids that it asked about back, and no name.
GRANT SELECT (municipality_id, id, family_name) ON client TO frist_definer;
GRANT SELECT (municipality_id, client_id, name) ON next_of_kin TO frist_definer;
-- +goose StatementBegin
CREATE FUNCTION access_relations(accounts bigint[], clients uuid[]) RETURNS TABLE (kind text, account_id bigint, client uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
  WITH here AS (SELECT nullif(current_setting('frist.municipality', true), '')::int AS id),
  pair AS (
    SELECT p.account, p.client, fold_name(a.name) AS name FROM here, unnest(accounts, clients) AS p (account, client)
    JOIN account a ON a.id = p.account WHERE a.municipality_id = here.id OR a.municipality_id IS NULL)
  SELECT 'namesake', p.account, p.client FROM here, pair p JOIN client c ON c.id = p.client
  WHERE c.municipality_id = here.id AND substring(p.name FROM '[^ ]+$') = substring(fold_name(c.family_name) FROM '[^ ]+$')
  UNION ALL
  SELECT DISTINCT 'kin', p.account, p.client FROM here, pair p JOIN next_of_kin k ON k.client_id = p.client
  WHERE k.municipality_id = here.id AND fold_name(k.name) = p.name
$$;
-- +goose StatementEnd

-- What the watch over the access log found: ids, codes and counts. It outlives the client like the log that it points into.
CREATE TABLE access_finding (
  municipality_id int NOT NULL REFERENCES municipality,
  id              bigint GENERATED BY DEFAULT AS IDENTITY,
  kind            text NOT NULL CHECK (kind IN ('many_hour', 'many_day', 'unlike_self', 'namesake', 'kin', 'night', 'protected')),
  account_id      bigint NOT NULL,
  role            text NOT NULL,
  on_day          date NOT NULL, -- the municipality's; a night belongs to the day on which it began
  hour            int NOT NULL DEFAULT -1, -- of many_hour
  client_ids      uuid[] NOT NULL DEFAULT '{}', -- the one client that it is about, or none
  count           int NOT NULL,
  usual           int NOT NULL DEFAULT 0, -- what the count was held against
  first_at        timestamptz NOT NULL,
  last_at         timestamptz NOT NULL,
  found_at        timestamptz NOT NULL,
  outcome         text CHECK (outcome IN ('explained', 'deviation')),
  assessed_by     bigint,
  assessed_at     timestamptz,
  PRIMARY KEY (municipality_id, id),
  UNIQUE (municipality_id, kind, account_id, on_day, hour, client_ids),
  CHECK (num_nulls(outcome, assessed_by, assessed_at) IN (0, 3))
);
CREATE INDEX access_finding_new ON access_finding (municipality_id, id) WHERE outcome IS NULL;
-- How far the watch has read.
CREATE TABLE access_watch (
  municipality_id int PRIMARY KEY REFERENCES municipality,
  last_at         timestamptz NOT NULL,
  last_id         bigint NOT NULL
);
CALL frist_wall('{access_finding,access_watch}');
-- An assessment is made once and stands.
-- +goose StatementBegin
CREATE FUNCTION finding_assessed_once() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  IF OLD.outcome IS NOT NULL THEN
    RAISE EXCEPTION 'the finding is assessed' USING ERRCODE = 'FR009';
  END IF;
  RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER finding_assessed_once BEFORE UPDATE ON access_finding FOR EACH ROW EXECUTE FUNCTION finding_assessed_once();
GRANT SELECT, UPDATE (outcome, assessed_by, assessed_at) ON access_finding TO frist_municipality;
GRANT SELECT, INSERT, DELETE, UPDATE (count, usual, last_at) ON access_finding TO frist_purger;
GRANT SELECT, INSERT, UPDATE (last_at, last_id) ON access_watch TO frist_purger;

-- From how many records opened one by one, by one person in an hour and in a day, the privacy officer is told.
ALTER TABLE municipality_policy
  ADD looks_per_hour int NOT NULL DEFAULT 40 CHECK (looks_per_hour > 0),
  ADD looks_per_day  int NOT NULL DEFAULT 100 CHECK (looks_per_day > 0);

GRANT CREATE ON SCHEMA public TO frist_definer;
GRANT frist_definer TO CURRENT_USER;
ALTER FUNCTION looks_at(uuid[]) OWNER TO frist_definer;
ALTER FUNCTION subject_clients(bytea) OWNER TO frist_definer;
ALTER FUNCTION access_relations(bigint[], uuid[]) OWNER TO frist_definer;
ALTER FUNCTION staff_account(text) OWNER TO frist_definer;
REVOKE CREATE ON SCHEMA public FROM frist_definer;
REVOKE frist_definer FROM CURRENT_USER;
REVOKE EXECUTE ON FUNCTION looks_at(uuid[]), subject_clients(bytea), staff_account(text), access_relations(bigint[], uuid[]), log_keeps(), log_cutoff(text), fold_name(text), finding_assessed_once() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION looks_at(uuid[]), subject_clients(bytea), staff_account(text) TO frist_municipality;
GRANT EXECUTE ON FUNCTION access_relations(bigint[], uuid[]), log_cutoff(text) TO frist_purger;
GRANT EXECUTE ON FUNCTION fold_name(text) TO frist_definer;
GRANT EXECUTE ON FUNCTION log_keeps() TO frist_signin, frist_municipality, frist_support, frist_supplier, frist_platform, frist_purger;
GRANT EXECUTE ON FUNCTION finding_assessed_once() TO frist_municipality, frist_purger;

-- +goose Down
ALTER TABLE municipality_policy DROP looks_per_hour, DROP looks_per_day;
DROP TABLE access_watch, access_finding;
DROP FUNCTION finding_assessed_once(), access_relations(bigint[], uuid[]), fold_name(text), staff_account(text), subject_clients(bytea), looks_at(uuid[]), log_cutoff(text);
REVOKE SELECT (municipality_id, id, family_name) ON client FROM frist_definer;
REVOKE SELECT (municipality_id, client_id, name) ON next_of_kin FROM frist_definer;
REVOKE SELECT ON access_subject FROM frist_definer;
REVOKE SELECT (municipality_id, id, client_ids) ON access_log FROM frist_definer;
DROP POLICY search ON access_log;
REVOKE SELECT (municipality_id, id, at), DELETE ON audit FROM frist_purger;
REVOKE SELECT (municipality_id, id, at, account_id, role, client_ids), DELETE ON access_log FROM frist_purger;
DROP TRIGGER append_only ON audit;
DROP TRIGGER append_only ON access_log;
DROP TRIGGER log_keeps ON audit;
DROP TRIGGER log_keeps ON access_log;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON audit FOR EACH STATEMENT EXECUTE FUNCTION frist_refuse();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON access_log FOR EACH STATEMENT EXECUTE FUNCTION frist_refuse();
DROP FUNCTION log_keeps();
DROP INDEX audit_at, audit_account, audit_act, audit_refused, access_log_at, access_log_account;
ALTER TABLE audit DROP organisation;
ALTER TABLE access_log DROP organisation;
SELECT set_config('frist.municipality', '0', true);
ALTER TABLE retention_rule DISABLE TRIGGER append_only;
DELETE FROM retention_rule WHERE municipality_id = 0;
ALTER TABLE retention_rule ENABLE TRIGGER append_only;
