package proof

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"unicode/utf16"

	"github.com/frist-app/frist/internal/blob"
	"github.com/frist-app/frist/internal/pgtest"
	"github.com/jackc/pgx/v5"
)

// token is a value that stands in one field of one person and nowhere else in the world.
type token struct {
	who, field string
	value      string
	core       string // the part of the value that is unlike everything else, in small letters
}

func (k token) String() string { return k.who + "'s " + k.field }

func randomHex(n int) string {
	raw := make([]byte, n/2)
	_, _ = rand.Read(raw)
	return hex.EncodeToString(raw)
}

var number = regexp.MustCompile(`[0-9]{6}`)

// newToken makes one for a field that takes any text.
func newToken(who, field string) token {
	core := randomHex(16)
	for number.MatchString(core) { // a field that takes no national id takes no token that looks like one
		core = randomHex(16)
	}
	return token{who, field, "Zq7-" + strings.NewReplacer(".", "-", "_", "-").Replace(field) + "-" + who + "-" + core, core}
}

// encoding is one way in which a value can stand somewhere.
type encoding struct {
	name   string
	folded bool // looked for in small letters
	binary bool // cannot stand in a text
	of     func(k token) [][]byte
}

func one(f func(s string) string) func(token) [][]byte {
	return func(k token) [][]byte { return [][]byte{[]byte(f(k.core))} }
}

func each(format string) func(string) string {
	return func(s string) string {
		var b strings.Builder
		for _, c := range []byte(s) {
			fmt.Fprintf(&b, format, c)
		}
		return b.String()
	}
}

func utf16Of(order binary.AppendByteOrder) func(string) string {
	return func(s string) string {
		var b []byte
		for _, u := range utf16.Encode([]rune(s)) {
			b = order.AppendUint16(b, u)
		}
		return string(b)
	}
}

func inHex(f func(string) string) func(string) string {
	return func(s string) string { return hex.EncodeToString([]byte(f(s))) }
}

// base64At is s as it looks inside a longer text that was encoded, beginning at one of the three places in a group of
// four letters; the letters at the edges hold something of the neighbours and are left out.
func base64At(e *base64.Encoding, place int) func(string) string {
	return func(s string) string {
		all := e.EncodeToString(append(make([]byte, place), s...))
		from := (place*8 + 5) / 6
		return all[from : (place+len(s))*8/6]
	}
}

var digests = map[string]func([]byte) []byte{
	"md5":    func(b []byte) []byte { s := md5.Sum(b); return s[:] },
	"sha1":   func(b []byte) []byte { s := sha1.Sum(b); return s[:] },
	"sha256": func(b []byte) []byte { s := sha256.Sum256(b); return s[:] },
	"sha512": func(b []byte) []byte { s := sha512.Sum512(b); return s[:] },
}

// of everything that somebody could have hashed: the value as it is, in small and in great letters.
func digest(name string, write func([]byte) string) func(token) [][]byte {
	return func(k token) (all [][]byte) {
		for _, v := range []string{k.value, strings.ToLower(k.value), strings.ToUpper(k.value)} {
			all = append(all, []byte(write(digests[name]([]byte(v)))))
		}
		return all
	}
}

var encodings = func() []encoding {
	all := []encoding{
		{"text", true, false, one(strings.ToLower)}, // and in any mixture of small and great letters
		{"UTF-16LE", true, true, one(utf16Of(binary.LittleEndian))},
		{"UTF-16BE", true, true, one(utf16Of(binary.BigEndian))},
		{"hex", true, false, one(each("%02x"))},
		{"hex of great letters", true, false, one(func(s string) string { return each("%02x")(strings.ToUpper(s)) })},
		{"hex of UTF-16LE", true, false, one(inHex(utf16Of(binary.LittleEndian)))},
		{"URL", true, false, one(each("%%%02x"))},
		{"HTML decimal", true, false, one(each("&#%d;"))},
		{"HTML hexadecimal", true, false, one(each("&#x%02x;"))},
		{"JSON", true, false, one(each(`\u%04x`))},
		{"SQL bytes", true, false, one(each(`\%03o`))},
	}
	for name, e := range map[string]*base64.Encoding{"base64": base64.RawStdEncoding, "base64url": base64.RawURLEncoding} {
		for place := range 3 {
			all = append(all, encoding{fmt.Sprintf("%s at %d", name, place), false, false, one(base64At(e, place))},
				encoding{fmt.Sprintf("%s of great letters at %d", name, place), false, false, one(func(s string) string { return base64At(e, place)(strings.ToUpper(s)) })})
		}
	}
	for name := range digests {
		all = append(all,
			encoding{name, true, false, digest(name, hex.EncodeToString)},
			encoding{name + " in base64", false, false, digest(name, base64.RawStdEncoding.EncodeToString)},
			encoding{name + " in base64url", false, false, digest(name, base64.RawURLEncoding.EncodeToString)},
			encoding{name + " raw", false, true, digest(name, func(b []byte) string { return string(b) })})
	}
	slices.SortFunc(all, func(a, b encoding) int { return strings.Compare(a.name, b.name) })
	return all
}()

// hit is a token that was found.
type hit struct {
	token    token
	encoding string
	where    string
}

type needle struct {
	text     []byte
	token    token
	encoding string
}

// scanner looks for many tokens in every encoding at once. Not for several goroutines.
type scanner struct {
	exact, folded map[uint64][]needle // by their first eight bytes
	first         [2][1 << 16]bool    // which pairs of bytes begin any of them
	hits          []hit
	seen          map[string]bool
}

func newScanner(tokens []token) *scanner {
	s := &scanner{exact: map[uint64][]needle{}, folded: map[uint64][]needle{}, seen: map[string]bool{}}
	for _, k := range tokens {
		for _, e := range encodings {
			for _, text := range e.of(k) {
				into, n := s.exact, 0
				if e.folded {
					into, n, text = s.folded, 1, lower(text)
				}
				if len(text) < 8 {
					panic("too short to be looked for: " + k.String() + " as " + e.name)
				}
				first := binary.LittleEndian.Uint64(text)
				into[first] = append(into[first], needle{text, k, e.name})
				s.first[n][uint16(text[0])|uint16(text[1])<<8] = true
			}
		}
	}
	return s
}

// lower folds ASCII only and leaves every byte where it is.
func lower(text []byte) []byte {
	folded := make([]byte, len(text))
	for i, c := range text {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		folded[i] = c
	}
	return folded
}

var (
	escapes = regexp.MustCompile(`\\\\+`)
	inBytea = regexp.MustCompile(`\\x([0-9a-f]{16,})`)
)

func (s *scanner) look(where string, text []byte) {
	if bytes.Contains(text, []byte(`\\`)) { // what was escaped and then escaped again
		s.look(where, escapes.ReplaceAll(text, []byte(`\`)))
	}
	for _, m := range inBytea.FindAllSubmatch(text, -1) {
		if raw, err := hex.DecodeString(string(m[1])); err == nil {
			s.look(where, raw)
		}
	}
	for n, data := range [][]byte{text, lower(text)} {
		needles := [2]map[uint64][]needle{s.exact, s.folded}[n]
		for i := 0; i+8 <= len(data); i++ {
			if !s.first[n][uint16(data[i])|uint16(data[i+1])<<8] {
				continue
			}
			for _, nd := range needles[binary.LittleEndian.Uint64(data[i:])] {
				if bytes.HasPrefix(data[i:], nd.text) {
					id := nd.token.who + nd.token.field + nd.token.core + nd.encoding + where
					if !s.seen[id] {
						s.seen[id] = true
						s.hits = append(s.hits, hit{nd.token, nd.encoding, where})
					}
				}
			}
		}
	}
}

// lines is a log in memory.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) Bytes() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Clone(l.b.Bytes())
}

// places is everything that an installation keeps or says.
type places struct {
	env   *pgtest.Env
	blobs *blob.Store
	dir   string // of the blobs
	log   *lines
}

// newPlaces begins to write PostgreSQL's log to files and the product's own, at its most talkative, to memory. Call it
// before the world is made: the server is started anew.
func newPlaces(t *testing.T) *places {
	t.Helper()
	first := pgtest.New(t)
	first.Exec(t, `ALTER SYSTEM SET logging_collector = on`)
	first.Exec(t, `ALTER SYSTEM SET log_connections = on`)
	if err := first.Server().Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	p := &places{dir: t.TempDir(), log: new(lines)}
	var err error
	if p.blobs, err = blob.OpenFolder(p.dir); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.blobs.Close() })
	before := slog.Default()
	slog.SetDefault(p.logger())
	t.Cleanup(func() { slog.SetDefault(before) })
	return p
}

func (p *places) logger() *slog.Logger {
	return slog.New(slog.NewJSONHandler(p.log, &slog.HandlerOptions{Level: slog.LevelDebug, AddSource: true}))
}

// scan looks everywhere.
func (p *places) scan(t *testing.T, s *scanner) {
	t.Helper()
	ctx := t.Context()
	for _, table := range p.tables(t) {
		p.table(t, s, table, `SELECT t::text FROM ONLY `+table+` t`)
	}
	for _, view := range []string{
		"pg_stats", "pg_stats_ext", "pg_stats_ext_exprs", "pg_stat_activity", "pg_prepared_xacts", "pg_replication_slots", "pg_seclabels", "pg_settings",
		"pg_stat_user_tables", "pg_available_extensions", "pg_locks",
	} {
		p.table(t, s, view, `SELECT t::text FROM `+view+` t`)
	}
	for _, sequence := range p.names(t, `SELECT c.oid::regclass::text FROM pg_class c WHERE c.relkind = 'S' ORDER BY 1`) {
		p.table(t, s, sequence, `SELECT last_value::text FROM `+sequence)
	}
	keys, err := p.blobs.Keys(ctx, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range keys {
		s.look("blob key", []byte(key))
	}
	err = filepath.WalkDir(p.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		s.look("blob path", []byte(strings.TrimPrefix(path, p.dir)))
		raw, err := os.ReadFile(path)
		s.look("blob", raw)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	s.look("log", p.log.Bytes())
	s.look("PostgreSQL log", p.serverLog(t))
}

func (p *places) serverLog(t *testing.T) []byte {
	t.Helper()
	rows, err := p.env.Admin.Query(t.Context(), `SELECT pg_read_binary_file(current_setting('log_directory') || '/' || name) FROM pg_ls_logdir()`)
	if err != nil {
		t.Fatal(err)
	}
	files, err := pgx.CollectRows(rows, pgx.RowTo[[]byte])
	if err != nil || len(files) == 0 {
		t.Fatalf("no server log: %v", err)
	}
	return bytes.Join(files, []byte("\n"))
}

// tables are those of every schema, the catalogue's too. What lies in TOAST is read with its table.
func (p *places) tables(t *testing.T) []string {
	return p.names(t, `SELECT c.oid::regclass::text FROM pg_class c WHERE c.relkind IN ('r', 'm') AND c.relnamespace::regnamespace::text NOT LIKE 'pg_toast%'
		AND NOT pg_is_other_temp_schema(c.relnamespace) ORDER BY 1`)
}

func (p *places) names(t *testing.T, sql string) []string {
	t.Helper()
	rows, err := p.env.Admin.Query(t.Context(), sql)
	if err != nil {
		t.Fatal(err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func (p *places) table(t *testing.T, s *scanner, name, sql string) {
	t.Helper()
	rows, err := p.env.Admin.Query(t.Context(), sql)
	if err != nil {
		t.Fatalf("%v in %s", err, sql)
	}
	var text *string
	if _, err = pgx.ForEachRow(rows, []any{&text}, func() error {
		if text != nil {
			s.look(name, []byte(*text))
		}
		return nil
	}); err != nil {
		t.Fatalf("%v in %s", err, sql)
	}
}

// TestTheScannerFindsWhatItPlants plants every encoding in every kind of place and demands all of them back.
func TestTheScannerFindsWhatItPlants(t *testing.T) {
	p := newPlaces(t)
	p.env = pgtest.New(t)
	ctx := t.Context()
	exec := p.env.Exec
	exec(t, `CREATE TABLE kept (words text, list text[], doc jsonb, bytes bytea)`)
	exec(t, `CREATE TABLE counted (words text)`)
	exec(t, `CREATE SCHEMA elsewhere; CREATE TABLE elsewhere.kept (words text)`)

	var tokens []token
	expect := map[token]string{} // the encoding and the place
	plant := func(place string, e encoding, put func(text []byte)) {
		for i := range len(e.of(newToken("x", "x"))) {
			k := newToken("probe", fmt.Sprintf("%s %s %d", place, e.name, i))
			tokens = append(tokens, k)
			expect[k] = place
			put(e.of(k)[i])
		}
	}
	var connections []*pgx.Conn
	for n, e := range encodings {
		plant("kept", e, func(text []byte) { exec(t, `INSERT INTO kept (bytes) VALUES ($1)`, append([]byte("before "), text...)) })
		plant("pg_largeobject", e, func(text []byte) { exec(t, `SELECT lo_from_bytea(0, $1)`, text) })
		plant("blob", e, func(text []byte) {
			if err := p.blobs.Put(ctx, blob.NewKey(1), "audio/wav", slices.Concat([]byte("RIFF"), text, []byte("end"))); err != nil {
				t.Fatal(err)
			}
		})
		if e.binary {
			continue // a text cannot hold it
		}
		plant("kept", e, func(text []byte) { exec(t, `INSERT INTO kept (words) VALUES ($1)`, "before "+string(text)+" after") })
		plant("kept", e, func(text []byte) { exec(t, `INSERT INTO kept (list) VALUES ($1)`, []string{"before", string(text)}) })
		plant("kept", e, func(text []byte) {
			exec(t, `INSERT INTO kept (doc) VALUES ($1)`, map[string]any{"a": []string{string(text)}})
		})
		plant("elsewhere.kept", e, func(text []byte) { exec(t, `INSERT INTO elsewhere.kept VALUES ($1)`, string(text)) })
		plant("river.river_job", e, func(text []byte) {
			exec(t, `INSERT INTO river.river_job (kind, max_attempts, args, errors) VALUES ('x', 1, '{}', ARRAY[jsonb_build_object('error', $1::text)])`, string(text))
		})
		plant("river.river_job", e, func(text []byte) {
			exec(t, `INSERT INTO river.river_job (kind, max_attempts, args, metadata) VALUES ('x', 1, '{}', jsonb_build_object('log', $1::text))`, string(text))
		})
		plant("pg_statistic", e, func(text []byte) { exec(t, `INSERT INTO counted SELECT $1 FROM generate_series(1, 2)`, string(text)) })
		plant("pg_stat_activity", e, func(text []byte) {
			conn, err := pgx.Connect(ctx, p.env.AdminDSN())
			if err != nil {
				t.Fatal(err)
			}
			connections = append(connections, conn)
			if _, err := conn.Exec(ctx, "/* "+strings.ReplaceAll(string(text), "*/", "")+" */ SELECT 1"); err != nil {
				t.Fatal(err)
			}
		})
		plant("pg_description", e, func(text []byte) {
			name := fmt.Sprintf("described_%d_%s", n, randomHex(8))
			exec(t, "CREATE TABLE "+name+" ()")
			exec(t, "COMMENT ON TABLE "+name+" IS '"+strings.ReplaceAll(string(text), "'", "''")+"'")
		})
		plant("log", e, func(text []byte) {
			// What is escaped already is not escaped once more: a backslash of ours stands twice in JSON.
			fmt.Fprintf(p.log, "{\"msg\":\"%s\"}\n", text)
		})
		plant("PostgreSQL log", e, func(text []byte) { exec(t, `DO $do$ BEGIN RAISE LOG '%', $x$`+string(text)+`$x$; END $do$`) })
		if strings.HasPrefix(e.name, "text") || strings.HasPrefix(e.name, "hex") || strings.Contains(e.name, "url") {
			plant("blob key", e, func(text []byte) {
				if err := p.blobs.Put(ctx, "1/"+string(text), "audio/wav", []byte("x")); err != nil {
					t.Fatal(err)
				}
			})
		}
		if e.name == "text" || e.name == "hex" {
			plant("pg_class", e, func(text []byte) { exec(t, "CREATE SEQUENCE s_"+string(text)) })
			plant("log", e, func(text []byte) { slog.DebugContext(ctx, "x", "who", string(text)) })
		}
	}
	exec(t, `ALTER TABLE counted ALTER words SET STATISTICS 1000`)
	exec(t, `ANALYZE counted`)
	exec(t, `TRUNCATE counted`)

	s := newScanner(tokens)
	p.scan(t, s)
	for _, conn := range connections {
		_ = conn.Close(context.Background())
	}
	missed := 0
	for k, place := range expect {
		if !slices.ContainsFunc(s.hits, func(h hit) bool { return h.token == k && h.where == place }) {
			missed++
			if missed < 20 {
				t.Errorf("not found: %s in %s", k, place)
			}
		}
	}
	if missed > 0 {
		t.Errorf("%d of %d are not found", missed, len(expect))
	}
	t.Logf("%d tokens in %d encodings found", len(expect), len(encodings))
}
