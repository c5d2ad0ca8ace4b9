package account

import (
	"context"
	"encoding/json"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/audit"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/problem"
	"github.com/frist-app/frist/internal/proposal"
	"github.com/jackc/pgx/v5"
)

// Range is a network from which user name and password are enough to try (T16).
type Range struct {
	ID      int64
	Network netip.Prefix
	Place   string
	AddedBy int64 // 0: the command line
	AddedAt time.Time
}

// RangePayload is what a proposal about a network says.
type RangePayload struct {
	Act   string `json:"act"` // add or remove
	Place string `json:"place"`
}

// Widest networks: more is no town hall but half the internet.
const (
	widest4 = 8
	widest6 = 32
)

// parseNetwork reads "10.1.0.0/16" or one address. Bits behind the mask are an error of the writer.
func parseNetwork(text string) (netip.Prefix, error) {
	text = strings.TrimSpace(text)
	if address, err := netip.ParseAddr(text); err == nil {
		address = address.Unmap()
		if address.Zone() != "" {
			return netip.Prefix{}, problem.InvalidField("network", "network_form", nil)
		}
		return netip.PrefixFrom(address, address.BitLen()), nil
	}
	network, err := netip.ParsePrefix(text)
	if err != nil || network.Masked() != network || network.Addr().Is4In6() {
		return netip.Prefix{}, problem.InvalidField("network", "network_form", nil)
	}
	return network, nil
}

// checkRange answers problem.Invalid of network (required, network_form, too_wide) and place (required).
func checkRange(network, place string) (netip.Prefix, error) {
	var wrong problem.Collector
	parsed, err := parseNetwork(network)
	switch {
	case strings.TrimSpace(network) == "":
		wrong.Add("network", "required", nil)
	case err != nil:
		wrong.Add("network", "network_form", nil)
	case parsed.Addr().Is4() && parsed.Bits() < widest4, parsed.Addr().Is6() && parsed.Bits() < widest6:
		wrong.Add("network", "too_wide", nil)
	}
	if place = strings.TrimSpace(place); place == "" || len(place) > 100 {
		wrong.Add("place", "required", nil)
	}
	return parsed, wrong.Err()
}

const rangeColumns = `id, network, place, added_by, added_at`

// Ranges are the networks of the caller's organisation, by network. For those who propose and decide.
func Ranges(ctx context.Context, db *pg.DB, by access.Caller) (ranges []Range, err error) {
	err = db.SignInAs(ctx, by, func(tx *pg.Tx) error {
		if err := decides(tx); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, `SELECT `+rangeColumns+` FROM address_range WHERE municipality_id = $1 ORDER BY network, id`, tx.Municipality())
		if err != nil {
			return err
		}
		ranges, err = pgx.CollectRows(rows, pgx.RowToStructByName[Range])
		return err
	})
	return ranges, err
}

// ProposeRange proposes that passwords may be tried from a network.
func ProposeRange(ctx context.Context, db *pg.DB, by access.Caller, network, place string) error {
	return db.SignInAs(ctx, by, func(tx *pg.Tx) error {
		if err := tx.RequireFresh(access.ProposalMake); err != nil {
			return err
		}
		parsed, err := checkRange(network, place)
		if err != nil {
			return err
		}
		var known bool
		if err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM address_range WHERE municipality_id = $1 AND network = $2)`, tx.Municipality(), parsed).Scan(&known); err != nil {
			return err
		}
		if known {
			return problem.InvalidField("network", "taken", nil)
		}
		_, err = proposal.Make(ctx, tx, proposal.Ranges, parsed.String(), 0, RangePayload{"add", strings.TrimSpace(place)})
		return err
	})
}

// ProposeRangeRemoval proposes that a network is taken away.
func ProposeRangeRemoval(ctx context.Context, db *pg.DB, by access.Caller, id int64) error {
	return db.SignInAs(ctx, by, func(tx *pg.Tx) error {
		if err := tx.RequireFresh(access.ProposalMake); err != nil {
			return err
		}
		var network netip.Prefix
		var place string
		err := tx.QueryRow(ctx, `SELECT network, place FROM address_range WHERE municipality_id = $1 AND id = $2`, tx.Municipality(), id).Scan(&network, &place)
		if err != nil {
			return err
		}
		_, err = proposal.Make(ctx, tx, proposal.Ranges, network.String(), 0, RangePayload{"remove", place})
		return err
	})
}

func acceptRange(ctx context.Context, tx *pg.Tx, p proposal.Proposal) error {
	var wanted RangePayload
	if err := json.Unmarshal(p.Payload, &wanted); err != nil {
		return err
	}
	network, err := netip.ParsePrefix(p.Subject)
	if err != nil {
		return err
	}
	if wanted.Act == "remove" {
		_, err := tx.Exec(ctx, `DELETE FROM address_range WHERE municipality_id = $1 AND network = $2`, tx.Municipality(), network)
		return err
	}
	_, err = tx.Exec(ctx, `INSERT INTO address_range (municipality_id, network, place, added_by, added_at) VALUES ($1, $2, $3, $4, $5)`,
		tx.Municipality(), network, wanted.Place, p.ProposedBy, tx.Now())
	return err
}

// AddRange writes a network with nobody's permission: for the command line and the demo, so that a first administrator can
// sign in by password. A network that is there already stays as it is.
func AddRange(ctx context.Context, db *pg.DB, municipality int, network, place string) error {
	parsed, err := checkRange(network, place)
	if err != nil {
		return err
	}
	return db.SignInAs(ctx, access.Caller{Municipality: municipality}, func(tx *pg.Tx) error {
		n, err := tx.Exec(ctx, `INSERT INTO address_range (municipality_id, network, place, added_by, added_at) VALUES ($1, $2, $3, 0, $4) ON CONFLICT DO NOTHING`,
			municipality, parsed, strings.TrimSpace(place), tx.Now())
		if err == nil && n > 0 {
			audit.WriteDoor(tx, audit.Door{Municipality: municipality, Role: access.System},
				audit.Record{Act: "range_added", Subject: "address_range", SubjectID: parsed.String(), Detail: map[string]any{"municipality": strconv.Itoa(municipality)}})
		}
		return err
	})
}

// AnyNetwork reports whether passwords work from anywhere at all for a municipality (0: processor and supplier).
func AnyNetwork(ctx context.Context, db *pg.DB, municipality int) (any bool, err error) {
	err = db.SignIn(ctx, func(tx *pg.Tx) error {
		return tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM address_range WHERE municipality_id = $1)`, municipality).Scan(&any)
	})
	return any, err
}
