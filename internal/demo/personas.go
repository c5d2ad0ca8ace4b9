package demo

import (
	"context"
	"time"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/account"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/register"
)

// Persona is somebody as whom the demo can be tried.
type Persona struct {
	Role         access.Role
	Municipality string // its number; empty for those who work for processor and supplier
	Town         string // its name
	Login        string
	Name         string
}

// Personas lists them: six in each municipality, then support, operator and two platform administrators. There are two
// approvers, so that whoever had a hand in a list (D13) leaves one.
func Personas() []Persona {
	var all []Persona
	for i, town := range Towns {
		m, _ := register.MunicipalityByNumber(town.Number)
		for j, p := range []struct {
			role  access.Role
			login string
		}{
			{access.Caseworker, "saksbehandler"},
			{access.Caseworker, "saksbehandler2"},
			{access.Approver, "godkjenner"},
			{access.Approver, "godkjenner2"},
			{access.PrivacyOfficer, "personvernombud"},
			{access.Administrator, "administrator"},
		} {
			all = append(all, Persona{p.role, town.Number, m.Name, p.login + "." + town.Slug, staffNames[i*6+j]})
		}
	}
	n := len(all)
	return append(all,
		Persona{Role: access.Support, Login: "support", Name: staffNames[n]},
		Persona{Role: access.Operator, Login: "operator", Name: staffNames[n+1]},
		Persona{Role: access.PlatformAdministrator, Login: "plattform", Name: staffNames[n+2]},
		Persona{Role: access.PlatformAdministrator, Login: "plattform2", Name: staffNames[n+3]},
	)
}

var staffNames = []string{
	"Kari Nordmann", "Jonas Lie", "Astrid Sæther", "Ole Martin Vik", "Ingvild Aas", "Per Øverland",
	"Elle Márjá Gaup", "Sindre Johansen", "Turid Nilsen", "Håkon Berg", "Randi Mikkelsen", "Morten Dahl",
	"Silje Tveit", "Terje Aanensen", "Gunn Kristiansen", "Espen Lunde", "Marit Homme", "Arild Skaar",
	"Sara Support", "Odd Operatør", "Petra Plattform", "Pål Plattform",
}

// keyFor is how long a personal key that may decide can be used.
const keyFor = 12 * time.Hour

// NewKey makes a personal key for a persona, with the scope to decide: at most twelve hours old, so each start makes new ones.
func NewKey(ctx context.Context, db *pg.DB, login string) (string, error) {
	var id int64
	err := db.SignIn(ctx, func(tx *pg.Tx) error {
		return tx.QueryRow(ctx, `SELECT id FROM account WHERE login = $1`, login).Scan(&id)
	})
	if err != nil {
		return "", err
	}
	return account.NewKey(ctx, db, id, []string{account.ScopeDecide}, keyFor)
}
