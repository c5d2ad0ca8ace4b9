package deletion_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/blob"
	"github.com/frist-app/frist/internal/client"
	"github.com/frist-app/frist/internal/deletion"
	"github.com/frist-app/frist/internal/jobs"
	"github.com/frist-app/frist/internal/localpg"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/pgtest"
	"github.com/frist-app/frist/migrations"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// The worker is this test program started again: a process of its own, which can be killed.
const workerEnv = "FRIST_TEST_WORKER"

type orders struct {
	DSN, Blobs string
	Now        time.Time
}

// playWorker is what TestMain does in the other process. It ends when it is killed, or when the test does.
func playWorker() {
	raw := os.Getenv(workerEnv)
	if raw == "" {
		return
	}
	var o orders
	check := func(err error) {
		if err != nil {
			fmt.Fprintln(os.Stderr, "worker:", err)
			os.Exit(1)
		}
	}
	check(json.Unmarshal([]byte(raw), &o))
	began := time.Now()
	ctx := context.Background()
	db, err := pg.Open(ctx, pg.Config{Worker: o.DSN, Clock: func() time.Time { return o.Now.Add(time.Since(began)) }})
	check(err)
	blobs, err := blob.OpenFolder(o.Blobs)
	check(err)
	log := slog.New(slog.DiscardHandler)
	_, err = jobs.Start(ctx, jobs.Config{DSN: o.DSN, Log: log, Deps: deletion.Deps{DB: db, Blobs: blobs, Key: key, Log: log}})
	check(err)
	_, _ = io.Copy(io.Discard, os.Stdin) // until the test lets go
	os.Exit(0)
}

// mill is a stage whose workers are processes.
type mill struct {
	*stage
	dsn, folder string
	seen        map[int]snapshot
}

// snapshot is a municipality before its round.
type snapshot struct {
	round  int64
	frozen []uuid.UUID
	rows   map[string]map[uuid.UUID]int // table -> client -> rows
	hash   string                       // of all its rows
	keys   []string
}

func newMill(t *testing.T, s *stage, dsn string) *mill {
	t.Helper()
	m := &mill{stage: s, dsn: dsn, folder: t.TempDir(), seen: map[int]snapshot{}}
	blobs, err := blob.OpenFolder(m.folder)
	s.must(err)
	t.Cleanup(func() { _ = blobs.Close() })
	s.blobs, s.deps.Blobs = blobs, blobs
	return m
}

// fill adds n due clients to a municipality, every fourth with two recordings.
func (m *mill) fill(municipality, n int) {
	m.t.Helper()
	m.at("2023-03-14 15:07")
	ids := m.crowd(municipality, n, "2023-03-14 15:07")
	for i := 0; i < n; i += 4 {
		for range 2 {
			k := blob.NewKey(municipality)
			m.must(m.blobs.Put(m.t.Context(), k, "audio/wav", []byte("sound")))
			m.Exec(m.t, `INSERT INTO recording (municipality_id, client_id, at, seconds, blob_key) VALUES ($1, $2, $3, 2, $4)`, municipality, ids[i], m.Now(), k)
		}
	}
}

func (m *mill) worker() *exec.Cmd {
	m.t.Helper()
	raw, err := json.Marshal(orders{m.dsn, m.folder, m.Now()})
	m.must(err)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), workerEnv+"="+string(raw))
	cmd.Stderr = os.Stderr
	pipe, err := cmd.StdinPipe()
	m.must(err)
	m.must(cmd.Start())
	m.t.Cleanup(func() { _ = pipe.Close(); _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return cmd
}

func kill(cmd *exec.Cmd) {
	_ = cmd.Process.Kill()
	_ = cmd.Wait() // how it ended is known
}

// vacant lets the killed worker's lease on the leadership run out at once, so that the next one sweeps without waiting for
// up to 16 seconds.
func (m *mill) vacant() { m.Exec(m.t, `DELETE FROM river.river_leader`) }

// childTables are the tables that name a client and go with it.
func (m *mill) childTables() []string {
	rows, err := m.Admin.Query(m.t.Context(), `SELECT table_name FROM information_schema.columns WHERE table_schema = 'public' AND column_name = 'client_id'
		AND table_name NOT IN ('round_item', 'access_subject') ORDER BY 1`)
	m.must(err)
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	m.must(err)
	return tables
}

// look notes what there is before a municipality's round is started.
func (m *mill) look(municipality int, round int64) {
	m.t.Helper()
	ctx := m.t.Context()
	s := snapshot{round: round, rows: map[string]map[uuid.UUID]int{}}
	rows, err := m.Admin.Query(ctx, `SELECT client_id FROM round_item WHERE round_id = $1 AND frozen ORDER BY client_id`, round)
	m.must(err)
	s.frozen, err = pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	m.must(err)
	count := func(table, sql string) {
		s.rows[table] = map[uuid.UUID]int{}
		rows, err := m.Admin.Query(ctx, sql, municipality)
		m.must(err)
		var id uuid.UUID
		var n int
		_, err = pgx.ForEachRow(rows, []any{&id, &n}, func() error { s.rows[table][id] = n; return nil })
		m.must(err)
	}
	for _, table := range m.childTables() {
		count(table, `SELECT client_id, count(*) FROM `+table+` WHERE municipality_id = $1 AND client_id IS NOT NULL GROUP BY 1`)
	}
	count("client", `SELECT id, 1 FROM client WHERE municipality_id = $1`)
	count("address", `SELECT id, 1 FROM client WHERE municipality_id = $1`) // everybody has one of their own
	s.keys, err = m.blobs.Keys(ctx, fmt.Sprintf("%d/", municipality))
	m.must(err)
	s.hash = m.hash(municipality)
	m.seen[municipality] = s
}

// hash is over every row of a municipality.
func (m *mill) hash(municipality int) string {
	m.t.Helper()
	rows, err := m.Admin.Query(m.t.Context(), `SELECT table_name FROM information_schema.columns WHERE table_schema = 'public' AND column_name = 'municipality_id' ORDER BY 1`)
	m.must(err)
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	m.must(err)
	var all []string
	for _, table := range tables {
		var hash string
		m.must(m.Admin.QueryRow(m.t.Context(), `SELECT coalesce(md5(string_agg(r::text, '' ORDER BY r::text)), '') FROM `+table+` r WHERE municipality_id = $1`, municipality).Scan(&hash))
		all = append(all, table+" "+hash)
	}
	return strings.Join(all, "\n")
}

// finished waits for the end of a round.
func (m *mill) finished(round int64, within time.Duration) {
	m.t.Helper()
	eventually(m.t, within, func() string { return string(m.state(round)) + "; " + m.jobErrors() }, func() bool {
		var state string
		return m.Admin.QueryRow(m.t.Context(), `SELECT state FROM deletion_round WHERE id = $1`, round).Scan(&state) == nil && state == "finished"
	})
}

// whole is the oracle: nothing is lost and nothing doubled. kept are the clients who left the list meanwhile.
func (m *mill) whole(municipality int, kept map[uuid.UUID]bool) {
	m.t.Helper()
	t, s := m.t, m.seen[municipality]
	var gone []uuid.UUID
	for _, id := range s.frozen {
		w := m.whereabouts(s.round, id)
		switch {
		case kept[id] && (!w.There || w.ItemState != "withdrawn"):
			t.Errorf("re-activated, and then %+v", w)
		case !kept[id] && (w.There || w.ItemState != "purged"):
			t.Errorf("lost: %+v", w)
		}
		if !w.There {
			gone = append(gone, id)
		}
	}
	want := map[string]int{}
	for table, clients := range s.rows {
		for _, id := range gone {
			if clients[id] > 0 {
				want[table] += clients[id]
			}
		}
	}
	p := m.protocol(municipality, s.round)
	told := map[string]int{}
	for _, c := range p.Tables {
		told[c.Table] = int(c.Rows)
	}
	if !maps.Equal(told, want) {
		t.Errorf("the protocol counts %v, and there were %v", told, want)
	}
	if p.Clients.Approved != len(s.frozen) || p.Clients.Purged != len(gone) || p.Clients.Withdrawn != len(kept) || p.Clients.Carried != 0 {
		t.Errorf("the protocol says %+v of %d gone and %d kept", p.Clients, len(gone), len(kept))
	}
	if left := m.remains(gone); left != "" {
		t.Errorf("left: %s", left)
	}
	keys, err := m.blobs.Keys(t.Context(), fmt.Sprintf("%d/", municipality))
	m.must(err)
	mayStay := m.Count(t, `SELECT count(*) FROM recording WHERE municipality_id = $1`, municipality)
	if len(keys) != mayStay || p.Blobs.Ordered != len(s.keys)-mayStay || p.Blobs.Verified != p.Blobs.Ordered {
		t.Errorf("%d objects are left, of which %d may be; the protocol says %+v of %d", len(keys), mayStay, p.Blobs, len(s.keys))
	}
	for what, n := range map[string]int{
		`SELECT count(*) FROM protocol WHERE round_id = $1`:                                                                                                             1,
		`SELECT count(*) FROM round_event WHERE round_id = $1 AND act = 'started'`:                                                                                      1,
		`SELECT count(*) FROM round_event WHERE round_id = $1 AND act = 'verifying'`:                                                                                    1,
		`SELECT count(*) FROM round_event WHERE round_id = $1 AND act = 'finished'`:                                                                                     1,
		`SELECT count(*) FROM round_event WHERE round_id = $1 AND act IN ('incident', 'brake')`:                                                                         0,
		`SELECT count(*) FROM round_chunk WHERE round_id = $1 AND done_at IS NULL`:                                                                                      0,
		`SELECT count(*) FROM round_item WHERE round_id = $1 AND state IN ('placed', 'ready', 'blocked')`:                                                               0,
		`SELECT count(*) FROM blob_deletion WHERE round_id = $1 AND pending <> '{}'`:                                                                                    0,
		`SELECT sum(purged) - ` + fmt.Sprint(len(gone)) + ` FROM round_chunk WHERE round_id = $1`:                                                                       0,
		`SELECT count(*) - ` + fmt.Sprint(len(gone)) + ` FROM purged_registration WHERE municipality_id * 0 = $1 * 0 AND municipality_id = ` + fmt.Sprint(municipality): 0,
	} {
		if got := m.Count(t, what, s.round); got != n {
			t.Errorf("%s: %d, not %d", what, got, n)
		}
	}
}

// settled stops all workers, gives the jobs that died with them back, does what is waiting, and looks whether that changed
// anything: a job that comes too late does no harm, and the queue runs dry.
func (m *mill) settled(municipalities ...int) {
	m.t.Helper()
	before := map[int]string{}
	for _, a := range municipalities {
		before[a] = m.hash(a)
	}
	orphans := m.Count(m.t, `SELECT count(*) FROM river.river_job WHERE state = 'running'`)
	m.Exec(m.t, `UPDATE river.river_job SET state = 'available' WHERE state = 'running' AND kind <> 'sweep'`)
	m.Exec(m.t, `DELETE FROM river.river_job WHERE kind = 'sweep'`)
	m.clean()
	for a, hash := range before {
		if m.hash(a) != hash {
			m.t.Errorf("late jobs changed municipality %d", a)
		}
	}
	m.t.Logf("%d jobs had died with their workers and did nothing when they came again", orphans)
}

// failpoints hold a worker at a statement: the statement waits for a lock of the test, which kills the worker and gives the
// lock back. What the worker had already sent then goes on without it, as after a lost acknowledgement.
const failpoints = `
CREATE TABLE failpoint (step text PRIMARY KEY);
CREATE FUNCTION failpoint() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN
	IF EXISTS (SELECT FROM failpoint WHERE step = TG_ARGV[0]) THEN PERFORM pg_advisory_xact_lock_shared(4711); END IF;
	IF TG_LEVEL = 'STATEMENT' THEN RETURN NULL; END IF;
	IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
	RETURN NEW; END $$`

var steps = []struct{ name, when string }{
	{"begin: chunks are woken", `BEFORE INSERT ON river.river_job FOR EACH ROW WHEN (NEW.kind = 'chunk')`},
	{"chunk: items are written down", `BEFORE UPDATE ON round_item FOR EACH STATEMENT`},
	{"chunk: events go", `BEFORE DELETE ON alarm_event FOR EACH STATEMENT`},
	{"chunk: clients go", `BEFORE DELETE ON client FOR EACH STATEMENT`},
	{"chunk: clients are gone", `AFTER DELETE ON client FOR EACH STATEMENT`},
	{"chunk: addresses go", `BEFORE DELETE ON address FOR EACH STATEMENT`},
	{"chunk: registrations are remembered", `BEFORE INSERT ON purged_registration FOR EACH STATEMENT`},
	{"chunk: rows are counted", `BEFORE INSERT ON round_count FOR EACH STATEMENT`},
	{"chunk: objects are ordered away", `BEFORE INSERT ON blob_deletion FOR EACH STATEMENT`},
	{"chunk: their job is made", `BEFORE INSERT ON river.river_job FOR EACH ROW WHEN (NEW.kind = 'blob')`},
	{"chunk: it is closed", `BEFORE UPDATE ON round_chunk FOR EACH STATEMENT`},
	{"chunk: its job is complete", `BEFORE UPDATE ON river.river_job FOR EACH ROW WHEN (NEW.kind = 'chunk' AND NEW.state = 'completed')`},
	{"chunk: its commit", `CONSTRAINT AFTER UPDATE ON round_chunk DEFERRABLE INITIALLY DEFERRED FOR EACH ROW`},
	{"blob: the store has let go", `BEFORE UPDATE ON blob_deletion FOR EACH STATEMENT`},
	{"blob: its job is complete", `BEFORE UPDATE ON river.river_job FOR EACH ROW WHEN (NEW.kind = 'blob' AND NEW.state = 'completed')`},
	{"finish: to be verified", `BEFORE UPDATE ON deletion_round FOR EACH ROW WHEN (NEW.state = 'verifying' AND OLD.state = 'running')`},
	{"finish: finished", `BEFORE UPDATE ON deletion_round FOR EACH ROW WHEN (NEW.state = 'finished')`},
	{"finish: the protocol", `BEFORE INSERT ON protocol FOR EACH STATEMENT`},
	{"finish: its commit", `CONSTRAINT AFTER INSERT ON protocol DEFERRABLE INITIALLY DEFERRED FOR EACH ROW`},
}

func TestKilledAtEachStep(t *testing.T) {
	t.Parallel()
	for range size(1, 10) {
		s := newStage(t)
		s.Exec(t, `UPDATE municipality_policy SET chunk_size = 4`)
		s.Exec(t, failpoints)
		for i, step := range steps {
			kind, when := "", step.when
			if rest, ok := strings.CutPrefix(when, "CONSTRAINT "); ok {
				kind, when = "CONSTRAINT", rest
			}
			s.Exec(t, fmt.Sprintf(`CREATE %s TRIGGER failpoint_%d %s EXECUTE FUNCTION failpoint('%s')`, kind, i, when, step.name))
		}
		m := newMill(t, s, s.DSN("frist_worker", "worker"))
		m.fill(s.A, 160)
		m.fill(s.B, 8)
		round := m.running(s.A)[0]
		m.sweep()
		m.look(s.A, round)
		m.look(s.B, 0)

		ctx := t.Context()
		for _, step := range steps {
			gate, err := s.Admin.Acquire(ctx)
			s.must(err)
			_, err = gate.Exec(ctx, `SELECT pg_advisory_lock(4711)`)
			s.must(err)
			s.Exec(t, `INSERT INTO failpoint VALUES ($1)`, step.name)
			m.vacant()
			worker := m.worker()
			eventually(t, 40*time.Second, func() string {
				return "nobody comes to " + step.name + "; the round is " + string(m.state(round)) + "; " + m.jobErrors()
			}, func() bool {
				return s.Count(t, `SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 4711 AND NOT granted
					AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`) > 0
			})
			kill(worker)
			s.Exec(t, `DELETE FROM failpoint`)
			_, err = gate.Exec(ctx, `SELECT pg_advisory_unlock(4711)`)
			s.must(err)
			gate.Release()
		}
		m.vacant()
		worker := m.worker()
		m.finished(round, time.Minute)
		kill(worker)
		m.whole(s.A, nil)
		if m.hash(s.B) != m.seen[s.B].hash {
			t.Error("the other municipality was touched")
		}
		m.settled(s.A)
		t.Logf("killed at %d steps", len(steps))
	}
}

// Killed anywhere, again and again, while people re-activate clients of the list. At the end one worker is left alone, with
// River's lease and rescue as they are: its first sweep brings everything to its end.
func TestKilledAtRandom(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.Exec(t, `UPDATE municipality_policy SET chunk_size = 2`)
	s.Exec(t, `CREATE FUNCTION slowly() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(random() * 0.06); RETURN NULL; END $$`)
	s.Exec(t, `CREATE TRIGGER slowly AFTER DELETE ON client FOR EACH STATEMENT EXECUTE FUNCTION slowly()`)
	m := newMill(t, s, s.DSN("frist_worker", "worker"))
	kills := size(25, 500)
	m.fill(s.A, 16*kills)
	m.fill(s.B, 8)
	round := m.running(s.A)[0]
	m.sweep() // the calendar of the day, so that the workers' sweeps find nothing to do in the other municipality
	m.look(s.A, round)
	m.look(s.B, 0)
	kept := map[uuid.UUID]bool{}
	late := 0
	for range kills {
		worker := m.worker()
		time.Sleep(200*time.Millisecond + rand.N(700*time.Millisecond))
		id := m.seen[s.A].frozen[rand.N(len(m.seen[s.A].frozen))]
		err := s.try(access.Caseworker, func(ctx context.Context, tx *pg.Tx) error {
			return deletion.Reactivate(ctx, tx, id, deletion.StatusChange{To: client.Active})
		})
		switch {
		case err == nil:
			kept[id] = true
		case !lost(err):
			t.Errorf("re-activation: %v", err)
		default:
			late++
		}
		kill(worker)
	}
	left := s.Count(t, `SELECT count(*) FROM round_chunk WHERE round_id = $1 AND done_at IS NULL`, round)
	began := time.Now()
	worker := m.worker()
	m.finished(round, time.Duration(size(90, 900))*time.Second)
	t.Logf("%d kills, %d re-activated in time, %d too late; %d chunks left then, finished %s after the last kill", kills, len(kept), late, left, time.Since(began).Round(time.Second))
	kill(worker)
	m.whole(s.A, kept)
	if m.hash(s.B) != m.seen[s.B].hash {
		t.Error("the other municipality was touched")
	}
	m.settled(s.A)
}

// Two workers at once, on two municipalities and on each one's round, and now and then one of them is killed.
func TestTwoWorkers(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.Exec(t, `UPDATE municipality_policy SET chunk_size = 2`)
	m := newMill(t, s, s.DSN("frist_worker", "worker"))
	kills := size(4, 60)
	m.fill(s.A, 40*kills)
	m.fill(s.B, 40*kills)
	rounds := m.running(s.A, s.B)
	m.look(s.A, rounds[0])
	m.look(s.B, rounds[1])
	workers := []*exec.Cmd{m.worker(), m.worker()}
	for i := range kills {
		time.Sleep(rand.N(600 * time.Millisecond))
		kill(workers[i%2])
		m.vacant()
		workers[i%2] = m.worker()
	}
	m.finished(rounds[0], time.Duration(size(90, 900))*time.Second)
	m.finished(rounds[1], time.Duration(size(90, 900))*time.Second)
	kill(workers[0])
	kill(workers[1])
	m.whole(s.A, nil)
	m.whole(s.B, nil)
	m.settled(s.A, s.B)
}

// PostgreSQL goes down as at a power cut, under a worker that stays, and comes back.
func TestPostgresCrashes(t *testing.T) {
	t.Parallel()
	seed := pgtest.NewWorld(t)
	ctx := t.Context()
	server, err := localpg.Start(ctx, localpg.Options{Dir: filepath.Join(t.TempDir(), "pg"), Fsync: true, Settings: map[string]string{"shared_buffers": "32MB"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Stop() })
	const name = "postgres"
	if err := pg.Migrate(ctx, server.DSN(name), migrations.FS, true); err != nil {
		t.Fatal(err)
	}
	if err := pg.SetPasswords(ctx, server.DSN(name), map[string]string{"frist_web": "web", "frist_operator": "operator", "frist_worker": "worker"}); err != nil {
		t.Fatal(err)
	}
	env := &pgtest.Env{Name: name}
	dsn := func(login, password string) string {
		return fmt.Sprintf("postgres://%s:%s@%s:%d/%s?sslmode=disable", login, password, server.Host(), server.Port(), name)
	}
	env.DB, err = pg.Open(ctx, pg.Config{Web: dsn("frist_web", "web"), Operator: dsn("frist_operator", "operator"), Worker: dsn("frist_worker", "worker"), Clock: env.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(env.DB.Close)
	env.Admin, err = pgxpool.New(ctx, server.DSN(name))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(env.Admin.Close)
	s := &stage{World: &pgtest.World{Env: env, A: seed.A, B: seed.B}, t: t}
	s.deps = deletion.Deps{DB: env.DB, Key: key, Log: slog.New(slog.DiscardHandler)}
	for _, table := range []string{"municipality", "municipality_name", "municipality_policy", "instruction", "retention_rule", "account"} {
		s.copyTable(seed.Admin, table)
	}
	s.Exec(t, `UPDATE municipality_policy SET chunk_size = 2`)
	s.Exec(t, `CREATE FUNCTION slowly() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(random() * 0.1); RETURN NULL; END $$`)
	s.Exec(t, `CREATE TRIGGER slowly AFTER DELETE ON client FOR EACH STATEMENT EXECUTE FUNCTION slowly()`)

	m := newMill(t, s, dsn("frist_worker", "worker"))
	crashes := size(4, 25)
	m.fill(s.A, 120*crashes)
	m.fill(s.B, 8)
	round := m.running(s.A)[0]
	m.sweep() // the calendar of the day, so that the workers' sweeps find nothing to do in the other municipality
	m.look(s.A, round)
	m.look(s.B, 0)
	worker := m.worker()
	for range crashes {
		done := s.Count(t, `SELECT count(*) FROM round_chunk WHERE round_id = $1 AND done_at IS NOT NULL`, round)
		eventually(t, 40*time.Second, func() string { return "the worker does not come back: " + s.jobErrors() }, func() bool { // it is at work again
			return s.state(round) != deletion.Running || s.Count(t, `SELECT count(*) FROM round_chunk WHERE round_id = $1 AND done_at IS NOT NULL`, round) > done
		})
		time.Sleep(rand.N(500 * time.Millisecond))
		s.must(server.Crash())
		s.must(server.Restart(ctx))
		env.Admin.Reset()
		eventually(t, 30*time.Second, func() string { return "the database does not come back" }, func() bool { return env.Admin.Ping(ctx) == nil && env.DB.Ping(ctx) == nil })
	}
	m.finished(round, time.Duration(size(120, 900))*time.Second)
	kill(worker)
	m.whole(s.A, nil)
	if m.hash(s.B) != m.seen[s.B].hash {
		t.Error("the other municipality was touched")
	}
	m.settled(s.A)
	t.Logf("%d crashes", crashes)
}

// copyTable brings a table's rows over from another database.
func (s *stage) copyTable(from *pgxpool.Pool, table string) {
	s.t.Helper()
	ctx := s.t.Context()
	source, err := from.Acquire(ctx)
	s.must(err)
	defer source.Release()
	target, err := s.Admin.Acquire(ctx)
	s.must(err)
	defer target.Release()
	if table == "municipality" {
		_, err = target.Exec(ctx, `SET session_replication_role = replica; DELETE FROM retention_rule; DELETE FROM municipality; RESET session_replication_role`)
		s.must(err)
	}
	read, write := io.Pipe()
	go func() {
		_, err := source.Conn().PgConn().CopyTo(ctx, write, `COPY `+table+` TO STDOUT`)
		_ = write.CloseWithError(err)
	}()
	_, err = target.Conn().PgConn().CopyFrom(ctx, read, `COPY `+table+` FROM STDIN`)
	s.must(err)
}
