// Package explain tells what every table and column is for and how a client's data goes, and holds that declaration
// against the database: a table, a column or a way to a client that nobody declared is an error, and so is a declaration
// of something that is not there.
package explain

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"

	"github.com/jackc/pgx/v5"
)

// Kind is what a column may hold.
type Kind string

// The kinds.
const (
	Personal Kind = "personal" // something of a client, or of somebody around one
	Staff    Kind = "staff"    // something of an employee
	ID       Kind = "id"       // opaque
	Secret   Kind = "secret"   // a hash, keyed or of a secret
	Fact     Kind = "fact"     // a number, a date, a flag
	Plain    Kind = "plain"    // a code, or a text that holds no person
)

var kinds = []Kind{Personal, Staff, ID, Secret, Fact, Plain}

// Column is one column's declaration.
type Column struct {
	Table   string // with its schema when that is not public
	Name    string
	Kind    Kind
	Because string // for one that sounds personal and is not
}

// Link is one way on which a row hangs on something that goes.
type Link struct {
	Column   string // of this table; for Holds of the other
	Table    string // at the other end
	Keyed    bool   // by a foreign key
	Optional bool   // the column may be empty
	Holds    bool   // the other table's column points here: the row lives as long as that does
}

// Table is one table's declaration.
type Table struct {
	Name    string
	Class   string
	Path    string // as declared
	Links   []Link
	Action  string // along, cascade, by name, outlives or none
	How     string // the action's own words
	Columns []Column
}

//go:embed catalogue.txt
var source string

var catalogue = sync.OnceValues(func() ([]Table, error) { return parse(source) })

// Catalogue is the declaration of every table, the client's first.
func Catalogue() []Table {
	tables, err := catalogue()
	if err != nil {
		panic("explain: " + err.Error()) // the file is compiled in and read by the tests
	}
	return slices.Clone(tables)
}

// PersonalColumns are the columns in which something of a client can stand: what a canary is planted in, and what no
// role that sees nobody may read.
func PersonalColumns() []Column {
	var personal []Column
	for _, t := range Catalogue() {
		for _, c := range t.Columns {
			if c.Kind == Personal {
				personal = append(personal, c)
			}
		}
	}
	return personal
}

func parse(text string) ([]Table, error) {
	var tables []Table
	because := map[string]string{}
	for i, line := range strings.Split(text, "\n") {
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		rest = strings.TrimSpace(rest)
		wrong := func(why string) error { return fmt.Errorf("catalogue line %d: %s", i+1, why) }
		if word == "" || strings.HasPrefix(word, "#") {
			continue
		}
		if !strings.HasPrefix(line, " ") {
			if rest == "" {
				return nil, wrong("a table needs a class")
			}
			tables = append(tables, Table{Name: word, Class: rest})
			continue
		}
		if len(tables) == 0 {
			return nil, wrong("no table yet")
		}
		t := &tables[len(tables)-1]
		switch {
		case word == "path":
			links, err := parsePath(rest)
			if err != nil {
				return nil, wrong(err.Error())
			}
			t.Path, t.Links = rest, links
		case word == "action":
			t.Action, t.How, _ = strings.Cut(rest, ":")
			t.How = strings.TrimSpace(t.How)
			if !slices.Contains([]string{"along", "cascade", "by name", "outlives", "none"}, t.Action) {
				return nil, wrong("no such action: " + t.Action)
			}
		case word == "because":
			column, reason, ok := strings.Cut(rest, ": ")
			if !ok {
				return nil, wrong("a reason is `column: words`")
			}
			because[t.Name+"."+column] = reason
		case slices.Contains(kinds, Kind(word)):
			for name := range strings.FieldsSeq(rest) {
				t.Columns = append(t.Columns, Column{Table: t.Name, Name: name, Kind: Kind(word)})
			}
		default:
			return nil, wrong("no such word: " + word)
		}
	}
	for i := range tables {
		for j, c := range tables[i].Columns {
			tables[i].Columns[j].Because = because[c.Table+"."+c.Name]
			delete(because, c.Table+"."+c.Name)
		}
	}
	for column := range because {
		return nil, fmt.Errorf("catalogue: a reason for %s, which is not declared", column)
	}
	return tables, nil
}

var link = regexp.MustCompile(`^(?:(\w+)(\?)? (->|~>) ([\w.]+)|<- (\w+)\.(\w+))$`)

func parsePath(text string) ([]Link, error) {
	if text == "self" || text == "none" {
		return nil, nil
	}
	var links []Link
	for part := range strings.SplitSeq(text, ", ") {
		m := link.FindStringSubmatch(part)
		switch {
		case m == nil:
			return nil, errors.New("not a path: " + part)
		case m[5] != "":
			links = append(links, Link{Column: m[6], Table: m[5], Keyed: true, Holds: true})
		default:
			links = append(links, Link{Column: m[1], Table: m[4], Keyed: m[3] == "->", Optional: m[2] == "?"})
		}
	}
	return links, nil
}

// Querier is a connection, a pool or a transaction: the catalogue of PostgreSQL may be read by every login.
type Querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

type column struct {
	name, form string
	empty      bool // may be null
}

type key struct {
	table, column, to string
	cascades          bool
}

type database struct {
	tables  []string
	columns map[string][]column
	keys    []key
	along   []string // tables that client_takes_along empties and client_alive guards
}

const columnsQuery = `SELECT CASE n.nspname WHEN 'public' THEN c.relname ELSE n.nspname || '.' || c.relname END, a.attname,
		format_type(a.atttypid, a.atttypmod), NOT a.attnotnull
	FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
	JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
	WHERE n.nspname IN ('public', 'river') AND c.relkind IN ('r', 'p', 'm', 'f') AND NOT c.relispartition
	ORDER BY n.nspname, c.relname, a.attnum`

// The municipality stands in every key; what is asked for is the column beside it.
const keysQuery = `SELECT f.relname, a.attname, t.relname, k.confdeltype = 'c'
	FROM pg_constraint k JOIN pg_class f ON f.oid = k.conrelid JOIN pg_class t ON t.oid = k.confrelid
	JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = ANY (k.conkey)
	WHERE k.contype = 'f' AND f.relnamespace = 'public'::regnamespace AND (a.attname <> 'municipality_id' OR cardinality(k.conkey) = 1)
	ORDER BY 1, 2, 3`

// What stands in for the key of a table without one: the trigger that lets in no row without a client, and the statement
// with which a client takes its rows along. Either without the other is a gap, and is not listed.
const alongQuery = `SELECT c.relname FROM pg_class c JOIN pg_trigger g ON g.tgrelid = c.oid AND g.tgenabled <> 'D'
		AND g.tgfoid = to_regprocedure('public.client_alive()') AND g.tgtype & 31 = 4
	WHERE c.relnamespace = 'public'::regnamespace
		AND EXISTS (SELECT FROM pg_proc p JOIN pg_trigger d ON d.tgfoid = p.oid AND d.tgrelid = to_regclass('public.client') AND d.tgenabled <> 'D'
			WHERE p.proname = 'client_takes_along'
			AND p.prosrc LIKE '%DELETE FROM ' || c.relname || ' WHERE municipality_id = m.id AND client_id = ANY (m.clients);%')
	ORDER BY 1`

func read(ctx context.Context, q Querier) (database, error) {
	db := database{columns: map[string][]column{}}
	rows, err := q.Query(ctx, columnsQuery)
	if err != nil {
		return db, err
	}
	var table string
	var c column
	_, err = pgx.ForEachRow(rows, []any{&table, &c.name, &c.form, &c.empty}, func() error {
		if _, ok := db.columns[table]; !ok {
			db.tables = append(db.tables, table)
		}
		db.columns[table] = append(db.columns[table], c)
		return nil
	})
	if err != nil {
		return db, err
	}
	rows, err = q.Query(ctx, keysQuery)
	if err != nil {
		return db, err
	}
	var k key
	_, err = pgx.ForEachRow(rows, []any{&k.table, &k.column, &k.to, &k.cascades}, func() error {
		db.keys = append(db.keys, k)
		return nil
	})
	if err != nil {
		return db, err
	}
	rows, err = q.Query(ctx, alongQuery)
	if err != nil {
		return db, err
	}
	db.along, err = pgx.CollectRows(rows, pgx.RowTo[string])
	return db, err
}

// Write prints every table and column with its path to the client, its class and its deletion action, and gives an error
// that lists everything in which the declaration and the database differ.
func Write(ctx context.Context, q Querier, w io.Writer) error {
	db, err := read(ctx, q)
	if err != nil {
		return err
	}
	declared := Catalogue()
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, t := range declared {
		action := t.Action
		if t.How != "" {
			action += ": " + t.How
		}
		fmt.Fprintf(out, "%s\n  class %s · path %s · %s\n", t.Name, t.Class, t.Path, action)
		for _, there := range db.columns[t.Name] {
			kind, because := Kind("UNDECLARED"), ""
			if i := slices.IndexFunc(t.Columns, func(c Column) bool { return c.Name == there.name }); i >= 0 {
				kind, because = t.Columns[i].Kind, t.Columns[i].Because
			}
			fmt.Fprintf(out, "    %s\t%s\t%s\t%s\n", there.name, there.form, kind, because)
		}
	}
	if err := out.Flush(); err != nil {
		return err
	}
	return compare(declared, db)
}

// Check is Write without the printing.
func Check(ctx context.Context, q Querier) error { return Write(ctx, q, io.Discard) }

var (
	sounds = regexp.MustCompile(`name|phone|mail|address|birth|national|street|postcode|login`)
	client = regexp.MustCompile(`^client(_ids?)?$`)
)

func compare(declared []Table, db database) error {
	var wrong []error
	say := func(format string, args ...any) { wrong = append(wrong, fmt.Errorf(format, args...)) }
	byName := map[string]Table{}
	for _, t := range declared {
		if _, ok := byName[t.Name]; ok {
			say("%s is declared twice", t.Name)
		}
		byName[t.Name] = t
		if db.columns[t.Name] == nil {
			say("%s is declared and does not exist", t.Name)
		}
	}
	for _, name := range db.tables {
		t, ok := byName[name]
		if !ok {
			say("%s is not declared", name)
			continue
		}
		compareColumns(t, db.columns[name], say)
		comparePath(t, db, say)
	}
	for _, name := range db.along {
		if t, ok := byName[name]; ok && t.Action != "along" {
			say("%s goes along with the client, and is declared %s", name, t.Action)
		}
	}
	// Whatever points at something that goes with a client must say so.
	for _, k := range db.keys {
		t, ok := byName[k.table]
		if !ok || byName[k.to].Path == "none" {
			continue
		}
		declares := func(l Link) bool { return !l.Holds && l.Column == k.column && l.Table == k.to }
		holds := func(l Link) bool { return l.Holds && l.Table == k.table && l.Column == k.column }
		if !slices.ContainsFunc(t.Links, declares) && !slices.ContainsFunc(byName[k.to].Links, holds) && !through(t, k) {
			say("%s.%s points at %s and the path does not say so", k.table, k.column, k.to)
		}
	}
	return errors.Join(wrong...)
}

// through tells whether a column belongs to a longer key whose own column is the declared one.
func through(t Table, k key) bool {
	return slices.ContainsFunc(t.Links, func(l Link) bool { return l.Keyed && l.Table == k.to })
}

func compareColumns(t Table, there []column, say func(string, ...any)) {
	seen := map[string]bool{}
	for _, c := range t.Columns {
		if seen[c.Name] {
			say("%s.%s is declared twice", t.Name, c.Name)
		}
		seen[c.Name] = true
		if !slices.ContainsFunc(there, func(h column) bool { return h.name == c.Name }) {
			say("%s.%s is declared and does not exist", t.Name, c.Name)
		}
		if c.Kind != Personal && c.Because == "" && sounds.MatchString(c.Name) {
			say("%s.%s sounds personal and is declared %s without a reason", t.Name, c.Name, c.Kind)
		}
	}
	for _, c := range there {
		if !seen[c.name] {
			say("%s.%s is not declared", t.Name, c.name)
		}
		if client.MatchString(c.name) && t.Name != "client" && !hangs(t, c.name) {
			say("%s.%s is a client and the path does not say so", t.Name, c.name)
		}
	}
}

func hangs(t Table, column string) bool {
	return slices.ContainsFunc(t.Links, func(l Link) bool { return l.Column == column || l.Keyed && column == "client_id" && !l.Optional })
}

func comparePath(t Table, db database, say func(string, ...any)) {
	if t.Path == "" || t.Action == "" {
		say("%s has no path or no action", t.Name)
	}
	if (t.Path == "none") != (t.Action == "none") {
		say("%s: a table without a path has the action none, and only such a table", t.Name)
	}
	for _, l := range t.Links {
		if l.Holds {
			if !slices.ContainsFunc(db.keys, func(k key) bool { return k.table == l.Table && k.column == l.Column && k.to == t.Name }) {
				say("%s: %s.%s does not point here", t.Name, l.Table, l.Column)
			}
			continue
		}
		i := slices.IndexFunc(db.columns[t.Name], func(c column) bool { return c.name == l.Column })
		if i < 0 {
			say("%s: the path goes by %s, which does not exist", t.Name, l.Column)
			continue
		}
		if empty := db.columns[t.Name][i].empty; empty != l.Optional {
			say("%s: the path goes by %s, of which the database says that it can be empty: %t", t.Name, l.Column, empty)
		}
		k := slices.IndexFunc(db.keys, func(k key) bool { return k.table == t.Name && k.column == l.Column && k.to == l.Table })
		switch {
		case !l.Keyed && k >= 0:
			say("%s: the path by %s has a key, and is declared without", t.Name, l.Column)
		case l.Keyed && k < 0:
			say("%s: the path by %s to %s has no key", t.Name, l.Column, l.Table)
		case l.Keyed && !db.keys[k].cascades:
			say("%s: the key of %s keeps %s from going", t.Name, l.Column, l.Table)
		}
		if t.Action == "along" && l.Table == "client" && (l.Optional || !slices.Contains(db.along, t.Name)) {
			say("%s: the client does not take it along, or a row without a client can get in", t.Name)
		}
		if t.Action == "cascade" && !l.Keyed {
			say("%s: without a key by %s nothing cascades", t.Name, l.Column)
		}
	}
}
