package admin

import (
	"cmp"
	"context"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/account"
	"github.com/frist-app/frist/internal/calendar"
	"github.com/frist-app/frist/internal/deletion"
	"github.com/frist-app/frist/internal/edge"
	"github.com/frist-app/frist/internal/municipality"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/problem"
	"github.com/go-chi/chi/v5"
)

// protocolRoutes hangs up a protocol's three forms under base. What stands in them depends on who asks, not on the
// address: an operator gets the supplier's copy everywhere.
func (s *Server) protocolRoutes(r chi.Router, base string) {
	r.Get(base, edge.Handle(s.protocol))
	r.Get(base+".pdf", edge.Handle(s.protocolPDF))
	r.Get(base+".json", edge.Handle(s.protocolJSON))
}

// protocolPage is the proof of a run, on screen and on one sheet of A4.
type protocolPage struct {
	edge.Page
	sheet
	Path string // of this page; .pdf and .json follow it
	Back string
}

// sheet is a protocol in words, for the page and for the PDF.
type sheet struct {
	Title   string
	Owner   string // Ås kommune (3218), sletterunde 01.10.23
	Round   string // its number
	Figures []figure
	Tables  []countLine
	Rows    string
	Stays   []countLine
	Staying string
	Missed  string // how many approved ones did not pass at the last moment
	Left    []countLine
	Outside []pair
	Acts    []actLine
	Rules   []ruleLine
	Notes   []actLine
	Sample  string
	Sum     string // of the document
	List    string // of the approved list
	Made    string
	Few     string // explains "<5"; empty in the municipality's copy
}

type (
	figure    struct{ Value, Name string }
	countLine struct{ Name, Count string }
	pair      struct{ Name, Value string }
	actLine   struct {
		What, Role, Staff string
		Name              string // only on the own municipality's page
		At                edge.Instant
	}
	ruleLine struct{ Name, Period, Version, Authority string }
)

func init() {
	edge.Pages["protocol"] = protocolPage{Path: "/runder/3218-231001/protokoll", Back: "/runder/3218-231001", sheet: sheet{
		Title: "t", Figures: []figure{{"41", "a"}}, Tables: []countLine{{"a", "1"}},
		Stays: []countLine{{"a", "1"}}, Missed: "m", Left: []countLine{{"a", "1"}}, Outside: []pair{{"a", "b"}}, Acts: []actLine{{What: "a", Role: "b", Staff: "c", Name: "d"}},
		Rules: []ruleLine{{"a", "b", "c", "d"}}, Notes: []actLine{{What: "a"}}, Sum: "c41f9a027be35d180e6c", List: "c41f9a027be35d180e6c", Few: "f",
	}}
	edge.Pages["protocols"] = protocolsPage{Lines: []protocolLine{{Number: "3218-231001", Municipality: "3218 Ås", RunOn: calendar.On(2023, 10, 1), Count: "41", Path: "/x"}}}
}

func (s *Server) protocol(w http.ResponseWriter, r *http.Request) error {
	page := protocolPage{Page: edge.NewPage(r), Path: r.URL.Path, Back: strings.TrimSuffix(r.URL.Path, "/protokoll")}
	p, owner, staff, err := s.findProtocol(r, deletion.FindProtocol)
	if err != nil {
		return err
	}
	page.Zone = owner.Zone
	if page.Caller.Blind() {
		page.Page.Path = "/protokoller" // the entry of the menu
	}
	page.sheet = sheetOf(page.Page, p)
	names := map[string]string{}
	for _, m := range staff {
		names[m.StaffNumber] = m.Name
	}
	for i := range page.Acts {
		page.Acts[i].Name = names[page.Acts[i].Staff]
	}
	return edge.Render(w, r, http.StatusOK, "protocol", page)
}

// findProtocol reads the protocol of the round in the address, and who of the own municipality has which staff number.
// find is deletion.FindProtocol or deletion.ExportProtocol.
func (s *Server) findProtocol(r *http.Request, find func(context.Context, *pg.Tx, int64) (deletion.Protocol, error)) (p deletion.Protocol, owner municipality.Municipality, staff people, err error) {
	err = s.inRound(r, func(ctx context.Context, tx *pg.Tx, round deletion.Round) error {
		if p, err = find(ctx, tx, round.ID); err != nil {
			return err
		}
		if p.Suppressed { // what people wrote stays in the municipality
			p.Rules = slices.Clone(p.Rules)
			for i := range p.Rules {
				p.Rules[i].Authority = ""
			}
		}
		if owner, err = municipality.Current(ctx, tx); err != nil {
			return err
		}
		staff, err = account.Staff(ctx, tx)
		return err
	})
	return p, owner, staff, err
}

// sheetOf writes a protocol in words.
func sheetOf(p edge.Page, doc deletion.Protocol) sheet {
	s := sheet{
		Title: p.Say("protocol.title"), Round: doc.Number, Sum: doc.Hash, List: doc.ListHash,
		Owner: p.Say("protocol.owner", "name", p.Say("tenant", "name", doc.Municipality.Name), "number", doc.Municipality.Number, "date", doc.RunOn),
		Made:  p.Say("protocol.made", "when", p.Text.DateTime(doc.Finished, p.Zone), "until", p.Date(doc.Finished).AddMonths(120)),
	}
	count := p.Number
	if p.Caller.Blind() {
		count = func(n int) string { return few(p, n) }
	}
	s.Figures = []figure{{count(doc.Clients.Purged), p.Say("protocol.figure.purged")}}
	if doc.Suppressed {
		s.Few = p.Say("protocol.few")
		s.Figures = []figure{{few(p, doc.Clients.Approved), p.Say("protocol.figure.handled")}}
		s.Figures = append(s.Figures, figure{few(p, doc.Clients.Carried), p.Say("protocol.figure.left")})
	} else {
		s.Figures = append(s.Figures, figure{p.Number(doc.Clients.Carried), p.Say("protocol.figure.carried")})
	}
	var rows int64
	for _, t := range doc.Tables {
		rows += t.Rows
		line := countLine{tableWords(p, t.Table), p.Number(int(t.Rows))}
		if t.Table == "client" {
			s.Tables = slices.Insert(s.Tables, 0, line)
			continue
		}
		s.Tables = append(s.Tables, line)
	}
	if !doc.Suppressed {
		s.Rows = p.Number(int(rows))
		s.Figures = append(s.Figures, figure{s.Rows, p.Say("protocol.figure.rows")})
	}
	s.Figures = append(s.Figures, figure{count(doc.Blobs.Verified), p.Say("protocol.figure.blobs")})
	s.Stays, s.Left = reasonLines(p, doc.Clients.CarriedBy), reasonLines(p, doc.Clients.WithdrawnBy)
	s.Staying = p.Number(doc.Clients.Carried)
	if missed := doc.Clients.Approved - doc.Clients.Purged; missed > 0 && !doc.Suppressed {
		s.Missed = p.SayN("protocol.missed", missed, "approved", doc.Clients.Approved)
	}
	s.Outside = []pair{{p.Say("protocol.outside.blobs"), p.Say("protocol.outside.blobs.gone", "date", p.Date(doc.Finished))}}
	for _, o := range doc.Outside {
		s.Outside = append(s.Outside, pair{p.Say("protocol.outside." + o.What), p.Say("protocol.outside.by", "date", o.GoneBy)})
	}
	for _, a := range doc.Acts {
		line := actLine{What: p.Say("protocol.act." + a.Act), Role: p.Say("protocol.role." + a.Role), Staff: a.Staff, At: p.Instant(a.At)}
		if a.Act == "controlled" && doc.SpotChecks.Size != deletion.Few {
			line.What = p.SayN("protocol.act.controlled_with", doc.SpotChecks.Size)
		}
		if a.Role == string(access.System) {
			line.Staff = ""
		}
		s.Acts = append(s.Acts, line)
	}
	s.Acts = append(s.Acts, actLine{What: p.Say("protocol.act.verified"), Role: "Frist", At: p.Instant(doc.Finished)})
	for _, n := range doc.Notes {
		line := actLine{What: p.Say("rounds.event." + n.Act), At: p.Instant(n.At)}
		if key := map[string]string{"brake": "rounds.brake.", "brake_lifted": "rounds.brake.", "incident": "rounds.incident.", "rejected": "rounds.reject."}[n.Act] + n.Code; p.Text.Has(key) && !doc.Suppressed {
			line.Role = p.Say(key)
		}
		s.Notes = append(s.Notes, line)
	}
	for _, rule := range doc.Rules {
		s.Rules = append(s.Rules, ruleLine{p.Say("protocol.class." + string(rule.Class)), p.SayN("protocol.period", rule.Months), p.Say("protocol.version", "version", rule.Version), rule.Authority})
	}
	if doc.SpotChecks.Size > 0 && !doc.Suppressed {
		s.Sample = p.SayN("protocol.sample", doc.SpotChecks.Size, "stock", doc.SpotChecks.Findings[deletion.FoundInStock], "seed", seedWords(doc.SpotChecks.Seed))
	}
	return s
}

func tableWords(p edge.Page, table string) string { return p.Say("protocol.table." + table) }

func reasonLines(p edge.Page, by map[string]int) []countLine {
	reasons := slices.SortedFunc(maps.Keys(by), func(a, b string) int { return cmp.Or(by[b]-by[a], strings.Compare(a, b)) })
	var lines []countLine
	for _, reason := range reasons {
		lines = append(lines, countLine{p.Say("rounds.reason." + reason), p.Number(by[reason])})
	}
	return lines
}

// protocolsPage is /protokoller: every finished round that the reader may see the proof of.
type protocolsPage struct {
	edge.Page
	Lines []protocolLine
}

// protocolLine is one finished round.
type protocolLine struct {
	Number       string
	Municipality string // empty within one municipality
	RunOn        calendar.Date
	Count        string
	Path         string
}

func (s *Server) protocols(w http.ResponseWriter, r *http.Request) error {
	page := protocolsPage{Page: edge.NewPage(r)}
	err := s.DB.InTx(r.Context(), page.Caller, func(tx *pg.Tx) error {
		if err := tx.Require(access.ProtocolRead); err != nil {
			return err
		}
		if page.Caller.Blind() {
			return page.fromBoard(r.Context(), tx)
		}
		rounds, err := deletion.Rounds(r.Context(), tx)
		for _, round := range rounds {
			if round.State == deletion.Finished {
				page.Lines = append(page.Lines, protocolLine{Number: round.Number, RunOn: round.RunOn, Path: "/runder/" + round.Number + "/protokoll"})
			}
		}
		return err
	})
	if err != nil {
		return err
	}
	slices.Reverse(page.Lines)
	return edge.Render(w, r, http.StatusOK, "protocols", page)
}

func (p *protocolsPage) fromBoard(ctx context.Context, tx *pg.Tx) error {
	base := "/support/runder/"
	if p.Caller.Has(access.Operator) {
		base = "/drift/"
	} else if !p.Caller.Has(access.Support) {
		return problem.Forbidden{Code: "permission"}
	}
	board, err := deletion.Board(ctx, tx, deletion.Finished)
	for _, b := range board {
		line := protocolLine{Number: b.Number, Municipality: b.MunicipalityNumber + " " + b.MunicipalityName, RunOn: b.RunOn, Count: p.Number(b.Purged), Path: base + b.Number + "/protokoll"}
		if p.Caller.Has(access.Operator) {
			line.Count = few(p.Page, b.Purged)
		}
		p.Lines = append(p.Lines, line)
	}
	return err
}

// SumWords and ListWords are the check sums in groups of four.
func (s sheet) SumWords() string  { return spaced(s.Sum) }
func (s sheet) ListWords() string { return spaced(s.List) } // ListWords is the approved list's.
