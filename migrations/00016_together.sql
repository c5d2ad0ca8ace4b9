-- +goose Up
-- What the migrations before this one could not know of each other.
-- A visitor (00010) stands behind the same shield (00013) as support does without a visit, whatever it was let in to see.
-- +goose StatementBegin
DO $$
DECLARE
  t text;
BEGIN
  FOR t IN SELECT tablename FROM pg_policies WHERE schemaname = 'public' AND policyname = 'shielded' ORDER BY 1 LOOP
    EXECUTE format('ALTER POLICY shielded ON %I TO frist_municipality, frist_support, frist_visitor', t);
  END LOOP;
END $$;
-- +goose StatementEnd
GRANT EXECUTE ON FUNCTION frist_reads_protected(), frist_hidden_clients(), frist_hidden_homes() TO frist_visitor;
-- The head of a client asks for these: a visitor gets no hidden contact and no request of the person.
GRANT SELECT ON protected_contact TO frist_visitor;
GRANT SELECT (municipality_id, client_id, id, kind, state, due_on, lifted_at) ON rights_request TO frist_visitor;
GRANT SELECT (municipality_id, pseudonymous) ON municipality_policy TO frist_visitor;
CREATE POLICY visitor ON protected_contact AS RESTRICTIVE FOR SELECT TO frist_visitor USING (false);
CREATE POLICY visitor ON rights_request AS RESTRICTIVE FOR SELECT TO frist_visitor USING (false);
CREATE POLICY visitor ON municipality_policy AS RESTRICTIVE FOR SELECT TO frist_visitor USING ((SELECT visit_client('{}')) IS NOT NULL);

-- +goose Down
DROP POLICY visitor ON municipality_policy;
DROP POLICY visitor ON rights_request;
DROP POLICY visitor ON protected_contact;
REVOKE SELECT ON protected_contact FROM frist_visitor;
REVOKE SELECT (municipality_id, client_id, id, kind, state, due_on, lifted_at) ON rights_request FROM frist_visitor;
REVOKE SELECT (municipality_id, pseudonymous) ON municipality_policy FROM frist_visitor;
REVOKE EXECUTE ON FUNCTION frist_reads_protected(), frist_hidden_clients(), frist_hidden_homes() FROM frist_visitor;
-- +goose StatementBegin
DO $$
DECLARE
  t text;
BEGIN
  FOR t IN SELECT tablename FROM pg_policies WHERE schemaname = 'public' AND policyname = 'shielded' ORDER BY 1 LOOP
    EXECUTE format('ALTER POLICY shielded ON %I TO frist_municipality, frist_support', t);
  END LOOP;
END $$;
-- +goose StatementEnd
