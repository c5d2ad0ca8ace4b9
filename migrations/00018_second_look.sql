-- +goose Up
-- What a second look at the privacy half found wanting.

-- All that a municipality decides about rounds, signing in, the watch, deviations and pseudonyms changes by an accepted
-- proposal. A proposal from before knows nothing of the newer ones, and may leave them as they are.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION municipality_policy_guard() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  IF current_user = 'frist_municipality' AND NOT accepted_now(NEW.municipality_id, 'policy', 'policy', jsonb_build_object(
    'cooling_off_seconds', NEW.cooling_off_seconds, 'max_share_percent', NEW.max_share_percent, 'max_error_percent', NEW.max_error_percent,
    'spot_check_size', NEW.spot_check_size, 'chunk_size', NEW.chunk_size, 'highest_level', NEW.highest_level,
    'password_words', NEW.password_words)
    || (SELECT coalesce(jsonb_object_agg(x.name, x.value) FILTER (WHERE x.value <> x.before), '{}') FROM (VALUES
      ('looks_per_hour', to_jsonb(NEW.looks_per_hour), to_jsonb(OLD.looks_per_hour)), ('looks_per_day', to_jsonb(NEW.looks_per_day), to_jsonb(OLD.looks_per_day)),
      ('first_notice_hours', to_jsonb(NEW.first_notice_hours), to_jsonb(OLD.first_notice_hours)), ('pseudonymous', to_jsonb(NEW.pseudonymous), to_jsonb(OLD.pseudonymous)))
      AS x (name, value, before))) THEN
    RAISE EXCEPTION 'a second person has not confirmed it' USING ERRCODE = 'FR081';
  END IF;
  RETURN NEW;
END $$;
-- +goose StatementEnd
DROP TRIGGER municipality_policy_guard ON municipality_policy;
CREATE TRIGGER municipality_policy_guard BEFORE UPDATE ON municipality_policy FOR EACH ROW EXECUTE FUNCTION municipality_policy_guard();
GRANT UPDATE (looks_per_hour, looks_per_day) ON municipality_policy TO frist_municipality;

-- Whether a row of a log of this class, of this instant, has outlived the municipality's own rule. A missing rule means
-- keep, and so does an open archive question (D6).
-- +goose StatementBegin
CREATE FUNCTION log_due(of_municipality int, of_class text, at timestamptz) RETURNS boolean LANGUAGE sql STABLE SET search_path = public, pg_temp AS $$
  SELECT coalesce(bool_or(due_on((at AT TIME ZONE m.time_zone)::date, r.period_months, r.period_days, r.inclusive, r.alignment) <= (frist_now() AT TIME ZONE m.time_zone)::date), false)
  FROM municipality m CROSS JOIN LATERAL (
    SELECT v.* FROM retention_rule v WHERE v.municipality_id = m.id AND v.class = of_class AND v.valid_from <= (frist_now() AT TIME ZONE m.time_zone)::date
    ORDER BY v.version DESC LIMIT 1) r
  WHERE m.id = of_municipality AND r.outcome = 'destroy'
$$;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION log_keeps() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  IF current_user = 'frist_purger' THEN
    IF log_due(OLD.municipality_id, TG_ARGV[0], OLD.at) THEN
      RETURN OLD;
    END IF;
  END IF;
  RAISE EXCEPTION 'append only: %', TG_TABLE_NAME USING ERRCODE = 'FR009';
END $$;
-- +goose StatementEnd
-- Who of support was let in is a part of the access log, and goes with it: counted from the last instant of the visit, so
-- that no look outlives the visit that it was part of.
-- +goose StatementBegin
CREATE FUNCTION visit_keeps() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  IF current_user = 'frist_purger' THEN
    IF log_due(OLD.municipality_id, 'access_log', greatest(OLD.asked_at, OLD.answered_at, OLD.ends_at)) THEN
      RETURN OLD;
    END IF;
  END IF;
  RAISE EXCEPTION 'append only: visit' USING ERRCODE = 'FR009';
END $$;
-- +goose StatementEnd
CREATE TRIGGER visit_keeps BEFORE DELETE ON visit FOR EACH ROW EXECUTE FUNCTION visit_keeps();
CREATE TRIGGER append_only BEFORE TRUNCATE ON visit FOR EACH STATEMENT EXECUTE FUNCTION frist_refuse();
-- Its steps stay as they were, for as long as the visit does.
-- +goose StatementBegin
CREATE FUNCTION visit_event_kept() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  IF EXISTS (SELECT FROM visit v WHERE v.municipality_id = OLD.municipality_id AND v.id = OLD.visit_id) THEN
    RAISE EXCEPTION 'append only: visit_event' USING ERRCODE = 'FR009';
  END IF;
  RETURN OLD;
END $$;
-- +goose StatementEnd
DROP TRIGGER append_only ON visit_event;
CREATE TRIGGER append_only BEFORE UPDATE OR TRUNCATE ON visit_event FOR EACH STATEMENT EXECUTE FUNCTION frist_refuse();
CREATE TRIGGER visit_event_kept BEFORE DELETE ON visit_event FOR EACH ROW EXECUTE FUNCTION visit_event_kept();
ALTER TABLE visit ENABLE ALWAYS TRIGGER visit_keeps, ENABLE ALWAYS TRIGGER append_only;
ALTER TABLE visit_event ENABLE ALWAYS TRIGGER append_only, ENABLE ALWAYS TRIGGER visit_event_kept;
GRANT SELECT (municipality_id, id, asked_at, answered_at, ends_at), DELETE ON visit TO frist_purger;

-- Whoever looks after the installation can notice a deviation as well as support: kinds and counts, as of the processor.
-- +goose StatementBegin
DO $$
BEGIN
  EXECUTE replace(pg_get_functiondef('deviation_guard()'::regprocedure), 'WHEN ''frist_support'' THEN ''support''', 'WHEN ''frist_support'' THEN ''support'' WHEN ''frist_platform'' THEN ''support''');
  EXECUTE replace(pg_get_functiondef('deviation_event_guard()'::regprocedure), '(''frist_support'', ''frist_supplier'')', '(''frist_support'', ''frist_supplier'', ''frist_platform'')');
END $$;
-- +goose StatementEnd
GRANT INSERT (municipality_id, id, kind, source, reported_by, reported_at, discovered_at, happened_from, happened_to, affected, affected_exact, persons, categories)
  ON deviation TO frist_platform;
GRANT INSERT (municipality_id, deviation_id, at, account_id, role, act) ON deviation_event TO frist_platform;
GRANT EXECUTE ON FUNCTION own_deviations(), deviation_event_guard(), deviation_guard() TO frist_platform;

-- What is wrong under a client is rectified (GDPR 16); what stood there stays in the client's own history. Of a protected
-- client's the history shows no more than the entry itself does, and where nothing but pseudonyms is held no word comes in.
GRANT UPDATE (text) ON note, medical_entry, care_plan_entry, communication TO frist_municipality;
GRANT UPDATE (value) ON property TO frist_municipality;
GRANT UPDATE (name, relation, phone) ON next_of_kin TO frist_municipality;
GRANT UPDATE (name, dose) ON medication TO frist_municipality;
GRANT UPDATE (goal) ON care_plan TO frist_municipality;
ALTER POLICY shielded ON client_change USING (CASE WHEN field = 'address' THEN client_id NOT IN (SELECT unnest(frist_hidden_homes()))
  WHEN field IN ('phone', 'email', 'note', 'property', 'kin', 'medical', 'plan', 'plan_entry', 'communication') THEN client_id NOT IN (SELECT unnest(frist_hidden_clients())) ELSE true END);
-- +goose StatementBegin
DO $$
DECLARE
  t text;
BEGIN
  EXECUTE replace(pg_get_functiondef('hidden_changes(uuid)'::regprocedure), '(''phone'', ''email'', ''note'')',
    '(''phone'', ''email'', ''note'', ''property'', ''kin'', ''medical'', ''plan'', ''plan_entry'', ''communication'')');
  FOREACH t IN ARRAY ARRAY['note', 'property', 'next_of_kin', 'medical_entry', 'medication', 'care_plan', 'care_plan_entry', 'communication'] LOOP
    EXECUTE format('CREATE TRIGGER pseudonym_refuses_change AFTER UPDATE ON %I REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION pseudonym_refuses()', t);
  END LOOP;
END $$;
-- +goose StatementEnd

REVOKE EXECUTE ON FUNCTION log_due(int, text, timestamptz), visit_keeps(), visit_event_kept() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION log_due(int, text, timestamptz), visit_keeps(), visit_event_kept() TO frist_purger;

-- +goose Down
-- +goose StatementBegin
DO $$
DECLARE
  t text;
BEGIN
  FOREACH t IN ARRAY ARRAY['note', 'property', 'next_of_kin', 'medical_entry', 'medication', 'care_plan', 'care_plan_entry', 'communication'] LOOP
    EXECUTE format('DROP TRIGGER pseudonym_refuses_change ON %I', t);
  END LOOP;
  EXECUTE replace(pg_get_functiondef('hidden_changes(uuid)'::regprocedure), ', ''property'', ''kin'', ''medical'', ''plan'', ''plan_entry'', ''communication'')', ')');
END $$;
-- +goose StatementEnd
ALTER POLICY shielded ON client_change USING (CASE WHEN field = 'address' THEN client_id NOT IN (SELECT unnest(frist_hidden_homes()))
  WHEN field IN ('phone', 'email', 'note') THEN client_id NOT IN (SELECT unnest(frist_hidden_clients())) ELSE true END);
REVOKE UPDATE (goal) ON care_plan FROM frist_municipality;
REVOKE UPDATE (name, dose) ON medication FROM frist_municipality;
REVOKE UPDATE (name, relation, phone) ON next_of_kin FROM frist_municipality;
REVOKE UPDATE (value) ON property FROM frist_municipality;
REVOKE UPDATE (text) ON note, medical_entry, care_plan_entry, communication FROM frist_municipality;
REVOKE EXECUTE ON FUNCTION own_deviations(), deviation_event_guard(), deviation_guard() FROM frist_platform;
REVOKE INSERT (municipality_id, deviation_id, at, account_id, role, act) ON deviation_event FROM frist_platform;
REVOKE INSERT (municipality_id, id, kind, source, reported_by, reported_at, discovered_at, happened_from, happened_to, affected, affected_exact, persons, categories)
  ON deviation FROM frist_platform;
-- +goose StatementBegin
DO $$
BEGIN
  EXECUTE replace(pg_get_functiondef('deviation_guard()'::regprocedure), ' WHEN ''frist_platform'' THEN ''support''', '');
  EXECUTE replace(pg_get_functiondef('deviation_event_guard()'::regprocedure), ', ''frist_platform'')', ')');
END $$;
-- +goose StatementEnd
REVOKE SELECT (municipality_id, id, asked_at, answered_at, ends_at), DELETE ON visit FROM frist_purger;
DROP TRIGGER visit_event_kept ON visit_event;
DROP TRIGGER append_only ON visit_event;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON visit_event FOR EACH STATEMENT EXECUTE FUNCTION frist_refuse();
DROP TRIGGER append_only ON visit;
DROP TRIGGER visit_keeps ON visit;
DROP FUNCTION visit_event_kept(), visit_keeps();
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION log_keeps() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
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
    WHERE m.id = OLD.municipality_id AND r.outcome = 'destroy';
    IF due <= today THEN
      RETURN OLD;
    END IF;
  END IF;
  RAISE EXCEPTION 'append only: %', TG_TABLE_NAME USING ERRCODE = 'FR009';
END $$;
-- +goose StatementEnd
DROP FUNCTION log_due(int, text, timestamptz);
REVOKE UPDATE (looks_per_hour, looks_per_day) ON municipality_policy FROM frist_municipality;
DROP TRIGGER municipality_policy_guard ON municipality_policy;
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION municipality_policy_guard() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  IF current_user = 'frist_municipality' AND NOT accepted_now(NEW.municipality_id, 'policy', 'policy', jsonb_build_object(
    'cooling_off_seconds', NEW.cooling_off_seconds, 'max_share_percent', NEW.max_share_percent, 'max_error_percent', NEW.max_error_percent,
    'spot_check_size', NEW.spot_check_size, 'chunk_size', NEW.chunk_size, 'highest_level', NEW.highest_level,
    'password_words', NEW.password_words)) THEN
    RAISE EXCEPTION 'a second person has not confirmed it' USING ERRCODE = 'FR081';
  END IF;
  RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER municipality_policy_guard BEFORE UPDATE OF municipality_id, cooling_off_seconds, max_share_percent, max_error_percent, spot_check_size, chunk_size,
  highest_level, password_words ON municipality_policy FOR EACH ROW EXECUTE FUNCTION municipality_policy_guard();
